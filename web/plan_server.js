// Asks the server what a plan is and does, and puts plans into the widget that holds them. The server alone reads,
// counts and writes plans; `asked` and the answer are those of python_glue/host/plan_editor.py.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { isLinked, widgetOf } from "./widgets.js";
import { translate } from "./words.js";

export const PLAN_NODE = "ASDMApplyPlan";

export const planWidget = (node) => widgetOf(node, "plan");
export const isPlanLinked = (node) => isLinked(node, "plan");

// {plan, grid, counted_on}, or {error} with a sentence.
export async function askPlan(node, asked) {
  try {
    const answer = await api.fetchApi("/asdm/plan", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ node: node.id, ...asked }),
    });
    if (answer.ok) return await answer.json();
    return { error: translate("the server answered {status}", { status: answer.status }) };
  } catch (error) {
    return { error: translate("the server cannot be asked: {error}", { error: error.message }) };
  }
}

// Whoever calls it draws the node anew.
export function setPlan(node, text) {
  const widget = planWidget(node);
  widget.value = text;
  widget.callback?.(text);
}

// The front end looks for changes when the mouse is let go, and the server's answer comes later.
export function noteForUndo() {
  app.canvas.emitBeforeChange();
  app.canvas.emitAfterChange();
}

// Where the node tells of its runs, too.
export function tellOn(node, text) {
  api.dispatchCustomEvent("progress_text", { nodeId: String(node.id), text });
}
