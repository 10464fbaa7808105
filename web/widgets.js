// Widgets of a node, as the pack's scripts look for them and add their own.
export const widgetOf = (node, name) => node?.widgets?.find((widget) => widget.name === name);

// Whether the value of a widget comes by a link.
export const isLinked = (node, name) => node.inputs?.some((input) => input.widget?.name === name && input.link != null);

// Neither the saved workflow nor the prompt may carry what is no input of the node.
export function unsaved(widget) {
  widget.serialize = false;
  widget.options.serialize = false;
  return widget;
}
