// What a workflow saved before there was an input means: its own settings, not what a new node begins with. The front end
// gives the default to a widget that the workflow has no value for.
import { app } from "../../scripts/app.js";

const MEANT = {
  ASDMCalibratePlan: { effort: "thorough" },
  ASDMFeatureInheritance: { speed: "custom" },
  ASDMWrapSampler: { speed: "custom" },
};

function setMeant(node, has) {
  for (const [name, value] of Object.entries(MEANT[node.comfyClass] ?? {})) {
    const index = node.widgets?.findIndex((widget) => widget.name === name) ?? -1;
    if (index < 0 || has(name, index)) continue;
    node.widgets[index].value = value;
    node.widgets[index].callback?.(value); // others look at what it is
  }
}

app.registerExtension({
  name: "ASDM.OldWorkflows",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!(nodeData.name in MEANT)) return;
    const onConfigure = nodeType.prototype.onConfigure;
    nodeType.prototype.onConfigure = function (saved) {
      onConfigure?.apply(this, arguments);
      const values = saved.widgets_values;
      if (Array.isArray(values)) setMeant(this, (_, index) => index < values.length);
    };
  },
  setup() {
    // Prompts in the format of the API, which name what they have.
    const loadApiJson = app.loadApiJson;
    app.loadApiJson = function (prompt) {
      const loaded = loadApiJson.apply(this, arguments);
      for (const node of app.graph.nodes) {
        // Where a node of the prompt is not installed the host leaves the graph of before.
        const { class_type, inputs } = prompt[node.id] ?? {};
        if (inputs && class_type === node.comfyClass) setMeant(node, (name) => name in inputs);
      }
      return loaded;
    };
  },
});
