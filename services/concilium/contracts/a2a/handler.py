"""The A2A operations that no service of the mesh offers, refused in A2A's own words."""

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors as sdk


class PushlessHandler(RequestHandler):
    """A request handler without push notifications and without an extended card."""

    async def on_get_task_push_notification_config(
        self, _params: pb.GetTaskPushNotificationConfigRequest, _context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """Refuse: stream, or get."""
        raise sdk.PushNotificationNotSupportedError

    async def on_create_task_push_notification_config(
        self, _params: pb.TaskPushNotificationConfig, _context: ServerCallContext
    ) -> pb.TaskPushNotificationConfig:
        """Refuse: stream, or get."""
        raise sdk.PushNotificationNotSupportedError

    async def on_list_task_push_notification_configs(
        self, _params: pb.ListTaskPushNotificationConfigsRequest, _context: ServerCallContext
    ) -> pb.ListTaskPushNotificationConfigsResponse:
        """Refuse: stream, or get."""
        raise sdk.PushNotificationNotSupportedError

    async def on_delete_task_push_notification_config(
        self, _params: pb.DeleteTaskPushNotificationConfigRequest, _context: ServerCallContext
    ) -> None:
        """Refuse: stream, or get."""
        raise sdk.PushNotificationNotSupportedError

    async def on_get_extended_agent_card(
        self, _params: pb.GetExtendedAgentCardRequest, _context: ServerCallContext
    ) -> pb.AgentCard:
        """Refuse: the public card says everything."""
        raise sdk.ExtendedAgentCardNotConfiguredError
