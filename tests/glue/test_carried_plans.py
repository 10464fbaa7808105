"""Which plans the pictures of a prompt carry: those of its own runs, and those of the runs that made what it takes from
the host's cache."""

import asyncio
import copy
import gc
import json
import sys
from types import SimpleNamespace

import pytest

PLAN = '{"steps": 1}'
OTHER = '{"steps": 2}'


def graph(seed=1, sampler="3", model="ASDMApplyPlan", prefix="a"):
    return {"1": {"class_type": "Load", "inputs": {"name": "x"}},
            "2": {"class_type": model, "inputs": {"model": ["1", 0]}},
            sampler: {"class_type": "KSampler", "inputs": {"model": ["2", 0], "seed": seed}},
            "9": {"class_type": "SaveImage", "inputs": {"images": [sampler, 0], "filename_prefix": prefix}}}


@pytest.fixture
def carried(glue):
    module = glue("host.carried_plans")
    module._plans.clear()
    return module


class Prompts:
    """Prompts as the host queues and runs them."""

    def __init__(self, module):
        self.module = module
        self.held = []  # as the host holds what it has queued

    def queue(self, prompt=None, **extra_data):
        """What the host holds of a prompt: (its id, its extra data)."""
        body = self.module.meet_prompt({"prompt": prompt or graph(), "extra_data": extra_data or {
            "extra_pnginfo": {"workflow": {}}}})
        self.held.append(body["extra_data"])
        return body.get("prompt_id"), body["extra_data"]

    def leave(self, prompt_id, node_id="3", plan=PLAN):
        from comfy_execution.utils import CurrentNodeContext
        with CurrentNodeContext(prompt_id, node_id):
            self.module.leave_plan(plan)


@pytest.fixture
def prompts(carried):
    return Prompts(carried)


def plans(extra_data):
    return extra_data["extra_pnginfo"].get("asdm_plans")


def test_a_run_leaves_its_plan_under_its_node(prompts):
    prompt_id, extra_data = prompts.queue()
    assert extra_data["extra_pnginfo"] == {"workflow": {}}
    prompts.leave(prompt_id)
    assert plans(extra_data) == {"3": [json.loads(PLAN)]}
    assert json.loads(json.dumps(extra_data)) == {"extra_pnginfo": {"workflow": {}, "asdm_plans": plans(extra_data)}}


def test_runs_of_one_node_are_told_apart_and_equal_ones_are_one(prompts):
    prompt_id, extra_data = prompts.queue()
    for node_id, plan in (("3", PLAN), ("3", OTHER), ("3", PLAN), ("4:3", OTHER), ("5.0.0.7", PLAN)):
        prompts.leave(prompt_id, node_id, plan)
    assert plans(extra_data) == {"3": [json.loads(PLAN), json.loads(OTHER)], "4:3": [json.loads(OTHER)],
                                 "5": [json.loads(PLAN)]}


def test_a_cached_sampler_gives_the_plan_of_the_run_that_made_its_latent(prompts):
    prompts.leave(prompts.queue()[0])
    assert plans(prompts.queue(graph(prefix="b"))[1]) == {"3": [json.loads(PLAN)]}
    assert plans(prompts.queue(graph(sampler="8"))[1]) == {"8": [json.loads(PLAN)]}, "the host's cache knows no ids"
    assert plans(prompts.queue(graph(seed=2))[1]) is None
    assert plans(prompts.queue(graph(model="ASDMFeatureInheritance"))[1]) is None


def test_a_prompt_that_waits_gets_the_plan_of_the_run_before_it(prompts):
    first, _ = prompts.queue()
    _, waiting = prompts.queue(graph(prefix="b"))
    _, other = prompts.queue(graph(seed=2))
    prompts.leave(first)
    assert plans(waiting) == {"3": [json.loads(PLAN)]}
    assert plans(other) is None


def test_a_run_replaces_what_was_put_in_for_a_cached_one(prompts):
    prompts.leave(prompts.queue()[0])
    prompt_id, extra_data = prompts.queue()
    prompts.leave(prompt_id, plan=OTHER)
    assert plans(extra_data) == {"3": [json.loads(OTHER)]}


def test_trials_leave_nothing(prompts):
    prompt_id, extra_data = prompts.queue()
    with prompts.module.trials():
        prompts.leave(prompt_id)
    assert plans(extra_data) is None
    prompts.leave(prompt_id)
    assert plans(extra_data)


@pytest.mark.parametrize("body", [
    {}, {"prompt": graph()}, {"prompt": graph(), "extra_data": {}}, {"prompt": graph(), "extra_data": None},
    {"prompt": graph(), "extra_data": {"extra_pnginfo": None}}, {"prompt": [], "extra_data": {"extra_pnginfo": {}}},
    {"prompt": graph(model="Other"), "extra_data": {"extra_pnginfo": {"workflow": {}}}},
])
def test_prompts_without_a_place_or_without_the_pack_are_left_as_they_are(prompts, body):
    before = copy.deepcopy(body)
    assert prompts.module.meet_prompt(body) is body
    assert body == before
    prompts.leave("unknown")


def test_graphs_that_the_host_refuses_do_no_harm(prompts):
    nothing = {"1": {"class_type": "ASDMReport"}, "2": None, "3": {"inputs": {"a": ["2", 0], "b": ["7", 0], "c": 1}}}
    loop = {"1": {"class_type": "ASDMReport", "inputs": {"model": ["2", 0]}}, "2": {"inputs": {"model": ["1", 0]}}}
    deep = {str(n): {"class_type": "ASDMReport", "inputs": {"model": [str(n + 1), 0]}} for n in range(5000)}
    for prompt in (nothing, loop, deep):
        assert plans(prompts.queue(prompt)[1]) is None


def test_nothing_is_kept_of_prompts_that_the_host_has_forgotten(prompts):
    prompt_id, extra_data = prompts.queue()
    assert prompt_id in prompts.module._prompts
    copy.deepcopy(extra_data)  # as the host does for its history
    del extra_data
    prompts.held.clear()
    gc.collect()
    assert prompt_id not in prompts.module._prompts
    prompts.leave(prompt_id)
    for seed in range(prompts.module._REMEMBERED + 5):
        prompts.leave(prompts.queue(graph(seed))[0])
    assert len(prompts.module._plans) == prompts.module._REMEMBERED


def test_the_pack_meets_prompts_and_serves_plans_where_there_is_a_server(pack, glue, monkeypatch):
    handlers, routes = [], {}

    class Routes:
        def post(self, route):
            return lambda handler: routes.setdefault(route, handler)

    server = SimpleNamespace(add_on_prompt_handler=handlers.append, routes=Routes())
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=server)))

    async def listed():
        return await (await pack.comfy_entrypoint()).get_node_list()

    asyncio.run(listed())
    assert handlers == [glue("host.carried_plans").meet_prompt]
    assert list(routes) == ["/asdm/plan"]
