"""The only place that knows A2A's wire (1.0, protobuf types of ``a2a-sdk``, JSON by ProtoJSON).

Pure functions between our contracts and the wire:

- `values`: states and JSON values
- `parts`: parts and artifacts; files travel as raw bytes
- `step`: a lease as a message, and the step extension ``https://concilium.dev/a2a/ext/step/v1``
- `events`: what an agent service says of a run
- `reader`: what a caller of an agent understands of it
- `errors`: our refusals as A2A errors, and back
- `card`: manifests as agent cards
- `tasks`: the brain's tasks as A2A tasks
- `handler`: the operations that no service of the mesh offers
"""
