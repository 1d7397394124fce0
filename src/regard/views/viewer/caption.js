// The caption that says what is on screen, whole enough to stand under an exported image.

function renderCaption(view) {
  const rows = view.kind.caption(view).map(([name, value]) => [
    make("dt", { text: name }), make("dd", { text: value, "data-caption": name.toLowerCase() })]);
  view.part.caption.replaceChildren(...rows.flat());
}

function captionOfWords(view) {
  const { data } = view;
  const word = view.shown.length ? shownText(view) : "none chosen";
  const title = view.of === "words" ? "Word" : "Patch";
  const cut = data.cut ? [["Cut", `${data.cut} (the text encoder is full: no effect)`]] : [];
  return [[title, word], ["Step", stepText(view)], ...commonRows(view), ...textRows(view), ...besideRows(view),
    ["Model", data.model], ["Prompt", data.prompt], ...cut,
    ["Run", data.run.slice(1).join(" · ")], ["Parity", data.parity]];
}

function captionOfQueries(view) {
  const { data } = view;
  const said = data.said ? [["Predicted", data.said]] : [];
  return [["Query", shownText(view)], ...commonRows(view), ...outlierRows(view),
    ["Model", data.model], ["Image", data.shown], ...said, ["Parity", data.parity]];
}

function commonRows(view) {
  return [["Layer", layerText(view)], ["Head", headText(view)], ["Grid", gridCaption(view)],
    ["Method", view.of === "words" ? methodOfWords(view) : methodOfPatches(view)], ["Scale", scaleText(view)], ...sinkRows(view)];
}

function shownText(view) {
  return view.shown.filter((i) => view.maps.of(i) === view.of).map((i) => {
    const { name, pieces, next } = view.data.entries[i];
    const own = pieces.length > 1 ? `${name} (${pieces.join(" + ")})` : name;
    return view.state.next && next ? `${own} and the next token, ${next.text}` : own;
  }).join("; ");
}

function stepText(view) {
  const { averaged, state: { step }, data: { steps } } = view;
  if (step !== "all") return `${steps[step].text} (of ${steps[0].label} to ${steps.at(-1).label})`;
  return averaged.includes("step") ? "all steps, averaged while running" : `mean of ${plural(steps.length, "step")}`;
}

function layerText(view) {
  const { groups, choice: { layer }, data: { layers } } = view;
  if (typeof layer === "number") return layers[layer].name;
  const chosen = view.maps.layersOf(view.choice).map((i) => layers[i]);
  const grids = [...new Set(chosen.map(({ grid }) => gridText(grid)))].join(", ");
  const group = groups.find(({ name }) => name === layer);
  return `mean of ${plural(chosen.length, group ? `${group.name} layer` : "layer")} (${grids})`;
}

function headText(view) {
  const { heads, averaged, choice: { head } } = view;
  if (head !== "all") return `head ${heads[head]}`;
  return averaged.includes("head") ? "all heads, averaged while running" : `mean of ${plural(heads.length, "head")}`;
}

function gridCaption(view) {
  const grid = gridText(view.maps.gridOf(view.choice));
  const mixed = view.maps.layersOf(view.choice).some((i) => gridText(view.data.layers[i].grid) !== grid);
  const drawn = view.state.smooth ? "smoothed for display (interpolated)" : "nearest patches";
  return `${grid} tokens, ${drawn}${mixed ? "; coarser layers enlarged bilinearly" : ""}`;
}

function methodOfWords(view) {
  const kinds = [...new Set(view.maps.layersOf(view.choice).map((i) => view.data.layers[i].kind))].join(" and ");
  const next = view.state.next ? " and the next" : "";
  return `${kinds}-attention weights after the softmax, summed over a word's tokens${next}, plain mean`;
}

function methodOfPatches(view) {
  const left = "what goes to tokens before the patches is left out, not renormalised";
  const kinds = [...new Set(view.maps.layersOf(view.choice).map((i) => view.data.layers[i].kind))].join(" and ");
  return `${kinds}-attention weights after the softmax, plain mean${view.data.prefix.length ? `; ${left}` : ""}`;
}

// What a patch of a generated image gives to the text, where it attends to both at once.
function textRows(view) {
  if (view.of !== "patches" || !view.data.prefix.length) return [];
  const given = view.maps.before(view.lead, view.choice).map(([name, value]) => `${name} ${number(value)}`);
  return [["Elsewhere", `it gives ${given.join(", ")}`]];
}

// Words beside a patch, or patches beside a word: with layers and a scale of their own.
function besideRows(view) {
  if (!view.mixed) return [];
  const of = view.of === "words" ? "patches" : "words";
  const names = view.shown.filter((i) => view.maps.of(i) === of).map((i) => view.name(i));
  const choice = view.choiceOf(of), { layer, head } = choice;
  const where = typeof layer === "number" ? view.data.layers[layer].name : `mean of ${plural(view.maps.layersOf(choice).length, "layer")}`;
  const heads = head === "all" ? "all heads" : `head ${view.maps.headsOf(of)[head]}`;
  return [["Beside", `${names.join("; ")}: ${where}, ${heads}, 0 to ${number(view.tops[of])}`]];
}

function scaleText(view) {
  const { state, even } = view;
  const ends = `0 to ${number(view.top)}`;
  const mark = even.place === null ? "" : `; ${even.text}`;
  if (state.scale === "view") return `${ends}, ${topText(view)}, of this view only: not comparable with others${mark}`;
  const open = AXES.filter((axis) => view.choice[axis] !== "all").map((axis) => `${axis}s`);
  if (state.scale === "own" && view.shown.length) {
    const names = view.scaledOf(view.of).map((i) => `“${view.name(i)}”`).join(" and ");
    return `${ends}, the scale of ${names}${open.length ? ` over all ${open.join(", ")}` : ""}${mark}`;
  }
  return `${ends}, shared by all ${[view.many, ...open].join(", ")}${mark}`;
}

// What the end of the scale of this view is.
function topText(view) {
  const scales = view.shown.map((entry) => scaleOf(view.mapOf(entry)));
  const above = scales.find(({ top }) => top === view.top)?.above;
  return above ? `the 98th percentile, ${plural(above, "patch", "patches")} above it` : "the greatest value";
}

// Patches that take more than twice the 98th percentile of their map.
function sinkRows(view) {
  const found = view.shown.map((entry) => [view.name(entry), scaleOf(view.mapOf(entry)).sinks])
    .filter(([, sinks]) => sinks.length);
  const texts = found.map(([name, sinks]) => `${found.length > 1 ? `${name}: ` : ""}${sinksText(sinks)}`);
  return texts.length ? [["Sinks", texts.join("; ")]] : [];
}

// Tokens whose norm is outsized in what the layers read.
function outlierRows(view) {
  const layers = view.maps.layersOf(view.choice).map((i) => view.data.layers[i]);
  const counts = new Map();
  for (const name of layers.flatMap(({ outliers }) => outliers)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const found = [...counts].sort(([, a], [, b]) => b - a)
    .map(([name, count]) => (layers.length > 1 ? `${name} in ${count} of ${layers.length} layers` : name));
  const more = found.length > 4 ? `; ${found.length - 4} more` : "";
  return found.length ? [["Outliers", `of norm: ${found.slice(0, 4).join("; ")}${more}`]] : [];
}
