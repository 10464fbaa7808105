"""What the pack asks of the host's server: to see prompts as they are queued, and a route for the plan editor."""

import sys

from aiohttp import web

from .carried_plans import meet_prompt

ROUTE = "/asdm/plan"


def join_server():
    """Where there is a server: nodes are also listed without one."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is None:
        return
    server.add_on_prompt_handler(meet_prompt)

    @server.routes.post(ROUTE)
    async def plan(request):
        from .plan_editor import answer  # with all of the host's models: only where it is asked

        asked = await request.json()
        return web.json_response(answer(asked if isinstance(asked, dict) else {}))
