// Greys the widgets that a node does not read as it is set, and folds those that most never need behind a button. Which
// they are, the node's inputs say (`used_when` and `folded`, nodes/schema.h). All stay widgets of the node in their order,
// so graphs are saved and sent as if there were neither.
import { app } from "../../scripts/app.js";
import { drawAnew } from "./nodes2.js";
import { isLinked, unsaved, widgetOf } from "./widgets.js";
import { translate } from "./words.js";

const BUTTON = "advanced";
const OPEN = "asdm_advanced"; // property of a node: whether its fold is open
const LABELS = { true: "hide advanced", false: "advanced" };

const inputsOfClass = {}; // by class: {name: options}

const inputsOf = (node) => inputsOfClass[node.comfyClass];

function holds(node, [name, values]) {
  const widget = widgetOf(node, name);
  return !widget || isLinked(node, name) || values.includes(String(widget.value).trim());
}

// Each of the conditions names what may be, and one of that is enough.
const isUsed = (node, { used_when = [] }) =>
  used_when.every((any) => Object.entries(any).some((condition) => holds(node, condition)));
// Settings of one mode are wanted as soon as it is chosen.
const isOfItsMode = (node, input) => input.used_when?.some(({ mode }) => mode) && isUsed(node, input);

function isChanged(node, name, input) {
  const widget = widgetOf(node, name);
  return Boolean(widget) && (isLinked(node, name) || (widget.value ?? "") !== (input.default ?? ""));
}

function hide(widget, isHidden) {
  if (Boolean(widget.hidden) === isHidden) return;
  widget.hidden = isHidden;
  widget.options.hidden = isHidden; // what Nodes 2.0 looks at
  if (isHidden) widget.computeSize = () => [0, -4];
  else delete widget.computeSize;
}

function grey(widget, isGrey) {
  widget.disabled = isGrey;
  widget.options.disabled = isGrey;
}

function arrange(node) {
  const isOpen = node.properties[OPEN];
  for (const [name, input] of Object.entries(inputsOf(node))) {
    const widget = widgetOf(node, name);
    if (!widget) continue;
    grey(widget, !isUsed(node, input));
    hide(widget, Boolean(input.folded) && !isOpen && !isOfItsMode(node, input));
  }
  const button = widgetOf(node, BUTTON);
  if (button) button.label = translate(LABELS[isOpen]);
}

// Keeps what a user made a node larger than its widgets need.
function refresh(node, isGrown = true) {
  const before = node.computeSize()[1];
  arrange(node);
  const after = node.computeSize()[1];
  node.setSize([node.size[0], Math.max(after, isGrown ? node.size[1] + after - before : node.size[1])]);
  drawAnew(node);
}

function openWhereChanged(node) {
  const isAnyChanged = Object.entries(inputsOf(node)).some(
    ([name, input]) => input.folded && !isOfItsMode(node, input) && isChanged(node, name, input),
  );
  node.properties[OPEN] = Boolean(node.properties[OPEN]) || isAnyChanged;
}

function addButton(node) {
  const turn = () => {
    node.properties[OPEN] = !node.properties[OPEN];
    refresh(node);
  };
  unsaved(node.addWidget("button", BUTTON, null, turn));
}

function watch(node) {
  for (const name of Object.keys(inputsOf(node))) {
    const widget = widgetOf(node, name);
    if (!widget) continue;
    const callback = widget.callback;
    widget.callback = function () {
      const answer = callback?.apply(this, arguments);
      openWhereChanged(node);
      refresh(node);
      return answer;
    };
  }
}

app.registerExtension({
  name: "ASDM.WidgetsInUse",
  beforeRegisterNodeDef(nodeType, nodeData) {
    const given = Object.entries({ ...nodeData.input?.required, ...nodeData.input?.optional });
    const inputs = Object.fromEntries(given.map(([name, [, options]]) => [name, options ?? {}]));
    if (!nodeData.name.startsWith("ASDM") || !Object.values(inputs).some((input) => input.folded || input.used_when)) {
      return;
    }
    inputsOfClass[nodeData.name] = inputs;
    const onConfigure = nodeType.prototype.onConfigure;
    nodeType.prototype.onConfigure = function (saved) {
      onConfigure?.apply(this, arguments);
      // Graphs of before there was a fold were saved with all widgets shown, and as large as that.
      const wasFolded = saved.properties?.[OPEN] === false;
      this.properties[OPEN] = saved.properties?.[OPEN] ?? false;
      openWhereChanged(this);
      for (const widget of wasFolded ? [] : this.widgets) hide(widget, false);
      refresh(this, !wasFolded);
    };
  },
  nodeCreated(node) {
    if (!inputsOf(node)) return;
    node.properties[OPEN] = false;
    if (Object.values(inputsOf(node)).some((input) => input.folded)) addButton(node);
    watch(node);
    refresh(node);
  },
});
