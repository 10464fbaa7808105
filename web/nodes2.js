// Nodes 2.0 draws copies of a node's widgets, and takes no new ones once a widget was changed by hand. So what scripts
// change later, or add, is shown by presenting the node as a new one.
export function drawAnew(node) {
  node.setDirtyCanvas?.(true, true);
  if (!window.LiteGraph.vueNodesMode) return;
  // Behind what the front end does with the change at hand.
  setTimeout(() => {
    // A graph that was cleared forgets its nodes but not they it, and another may have the id by now.
    if (node.graph?.getNodeById(node.id) !== node) return;
    const callbacks = node.widgets.map(({ callback }) => callback);
    node.graph.onNodeAdded?.(node);
    // It wraps them once more each time.
    for (const [index, callback] of callbacks.entries()) node.widgets[index].callback = callback;
  });
}
