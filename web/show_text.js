// Draws the text that a node gives to the UI on the node itself: the stock front end does so for Preview Any alone.
import { app } from "../../scripts/app.js";
import { ComfyWidgets } from "../../scripts/widgets.js";

const NODES = ["ASDMCalibratePlan", "ASDMReport", "ASDMCompareImages", "ASDMSaveUNet"];
const WIDGET = "shown_text";

// Made at the first result, so that a node that has not run keeps the size its workflow gave it.
function textWidget(node) {
  const found = node.widgets?.find((widget) => widget.name === WIDGET);
  if (found) return found;
  const { widget } = ComfyWidgets.MARKDOWN(node, WIDGET, ["MARKDOWN", {}], app);
  widget.options.read_only = true;
  widget.element.readOnly = true;
  // Neither the saved workflow nor the prompt may carry it: the node has no such input.
  widget.serialize = false;
  widget.options.serialize = false;
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  return widget;
}

app.registerExtension({
  name: "ASDM.ShowText",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!NODES.includes(nodeData.name)) return;
    const onExecuted = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (message) {
      onExecuted?.apply(this, [message]);
      if (message?.text) textWidget(this).value = message.text[0];
    };
  },
});
