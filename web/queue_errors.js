// Shows what is wrong with a widget at that widget, and once. The host hands a check all the inputs that it looks at, and
// blames each of them for what it says.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { widgetOf } from "./widgets.js";

const FAULT = "custom_validation_failed";
const NAMED = /^\w+ - (\w+)\.(\w+)/; // "mode - ASDMFeatureInheritance.full_at: expected ..."
const MARK = "red";

let marked = [];

function blamed(error) {
  return NAMED.exec(error.details)?.[2];
}

// Leaves of each check of the pack the one error that is at the input it names.
function sift(nodeErrors) {
  for (const found of Object.values(nodeErrors ?? {})) {
    if (!found.class_type?.startsWith("ASDM")) continue;
    const isRepeated = (error) => error.type === FAULT && blamed(error) && blamed(error) !== error.extra_info?.input_name;
    const own = found.errors.filter((error) => !isRepeated(error));
    if (own.length > 0) found.errors = own;
  }
}

function unmark() {
  for (const widget of marked) delete widget.outline_color;
  marked = [];
}

function mark(nodeErrors) {
  for (const [id, { errors, class_type }] of Object.entries(nodeErrors ?? {})) {
    if (!class_type?.startsWith("ASDM")) continue;
    const node = app.graph.getNodeById(id);
    for (const { extra_info } of errors) {
      const widget = widgetOf(node, extra_info?.input_name);
      if (!widget) continue;
      Object.defineProperty(widget, "outline_color", { get: () => MARK, configurable: true });
      marked.push(widget);
    }
  }
}

app.registerExtension({
  name: "ASDM.QueueErrors",
  setup() {
    const queuePrompt = api.queuePrompt;
    api.queuePrompt = async function () {
      unmark();
      try {
        return await queuePrompt.apply(this, arguments);
      } catch (error) {
        sift(error.response?.node_errors);
        mark(error.response?.node_errors);
        throw error;
      }
    };
  },
});
