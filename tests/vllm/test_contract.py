"""What every engine keeps, asked of vLLM."""

from embedded.test_contract import *  # noqa: F403 - the same tests, with this folder's `engine`
