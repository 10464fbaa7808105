// Draws the text that a node gives to the UI on the node itself: the stock front end does so for Preview Any alone.
import { app } from "../../scripts/app.js";
import { ComfyWidgets } from "../../scripts/widgets.js";
import { drawAnew } from "./nodes2.js";
import { unsaved, widgetOf } from "./widgets.js";

const NODES = ["ASDMCalibratePlan", "ASDMReport", "ASDMCompareImages", "ASDMSaveUNet"];
const WIDGET = "shown_text";
const PICTURE = "$$canvas-image-preview"; // the widget of the host
const SIZES = { ASDMReport: [440, 560] }; // of a new node, on which what it shows can be read
const LINE_HEIGHT = 20;
const PADDING = 30;
const MOST_HEIGHT = 240; // the picture below wants its place too

// Made at the first result, so that a node that has not run keeps the size its workflow gave it.
function textWidget(node) {
  const found = widgetOf(node, WIDGET);
  if (found) return found;
  const { widget } = ComfyWidgets.MARKDOWN(node, WIDGET, ["MARKDOWN", {}], app);
  widget.options.read_only = true;
  widget.element.readOnly = true;
  unsaved(widget);
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  return widget;
}

app.registerExtension({
  name: "ASDM.ShowText",
  // Nodes of saved graphs get their own size after this.
  nodeCreated(node) {
    const size = SIZES[node.comfyClass];
    if (size) node.setSize(size);
  },
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!NODES.includes(nodeData.name)) return;
    const onExecuted = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (message) {
      onExecuted?.apply(this, [message]);
      if (!message?.text) return;
      const widget = textWidget(this);
      // The picture stands below the text, whichever came first.
      const picture = this.widgets.findIndex(({ name }) => name === PICTURE);
      if (picture >= 0 && picture < this.widgets.indexOf(widget)) this.widgets.push(...this.widgets.splice(picture, 1));
      widget.value = message.text[0];
      const height = Math.min(message.text[0].split("\n").length * LINE_HEIGHT + PADDING, MOST_HEIGHT);
      widget.options.getMinHeight = () => height;
      drawAnew(this);
    };
  },
});
