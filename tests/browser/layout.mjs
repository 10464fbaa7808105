// Where the nodes of a workflow lie.
const SIZES = {
  ASDMCalibratePlan: [420, 600],
  ASDMCompareImages: [420, 560],
  ASDMFeatureInheritance: [320, 460], // with the line that it shows after a run
  ASDMReport: [440, 560],
  ASDMWrapSampler: [320, 480],
  CLIPTextEncode: [360, 140],
  EmptyLatentImage: [320, 106],
  KSampler: [320, 540], // with the preview that it shows while it runs
  LoadImage: [320, 400],
  MarkdownNote: [420, 460],
  PreviewImage: [320, 320],
  SamplerCustomAdvanced: [320, 540],
  SaveImage: [340, 420],
};
const LEAST_WIDTH = 320;
const GAP = 60;
const TOP = 60;

// Each node stands one column right of its last supplier; the note stands left of all.
export function layOut(workflow) {
  const byId = new Map(workflow.nodes.map((node) => [node.id, node]));
  const column = (node) => {
    if (node.type === "MarkdownNote") return 0;
    const suppliers = workflow.links.filter((link) => link[3] === node.id).map((link) => byId.get(link[1]));
    return suppliers.length === 0 ? 1 : 1 + Math.max(...suppliers.map(column));
  };
  const columns = [];
  for (const node of workflow.nodes.toSorted((a, b) => a.id - b.id)) {
    node.size = SIZES[node.type] ?? [Math.max(node.size[0], LEAST_WIDTH), node.size[1]];
    (columns[column(node)] ??= []).push(node);
  }
  let left = 40;
  for (const nodes of columns) {
    let top = TOP;
    for (const node of nodes) {
      node.pos = [left, top];
      top += node.size[1] + GAP;
    }
    left += Math.max(...nodes.map((node) => node.size[0])) + GAP;
  }
}

// Pairs of nodes that cover each other; titles stand 30 above the node.
export function overlaps(nodes) {
  const boxes = nodes.map((node) => ({
    title: `${node.id} ${node.type}`,
    left: node.pos[0],
    top: node.pos[1] - 30,
    right: node.pos[0] + node.size[0],
    bottom: node.pos[1] + node.size[1],
  }));
  return boxes.flatMap((a, index) =>
    boxes
      .slice(index + 1)
      .filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
      .map((b) => `${a.title} and ${b.title}`),
  );
}
