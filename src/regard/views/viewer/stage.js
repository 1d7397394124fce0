// The stage: the image, a map for each entry shown, and their colour bar; and the patches that one
// points at, locks or looks from.

function buildStage(view) {
  const { part: { stage }, data, kind } = view;
  view.listen(stage, "pointermove", (event) => point(view, patchAt(event)));
  view.listen(stage, "pointerleave", () => point(view, null));
  // A mouse click must not take the focus, or the arrow keys would change their meaning.
  view.listen(stage, "pointerdown", (event) => event.preventDefault());
  view.listen(stage, "mousedown", (event) => event.preventDefault());
  view.listen(stage, "click", (event) => {
    const patch = patchAt(event);
    if (patch) kind.click(view, patch, event.shiftKey);
  });
  view.listen(stage, "keydown", (event) => walk(view, event));
  const sizes = new ResizeObserver(() => view.later());
  sizes.observe(stage);
  view.ended.signal.addEventListener("abort", () => sizes.disconnect(), { once: true });
  if (!data.image) return;
  view.image = new Image();
  view.listen(view.image, "load", () => view.later());
  view.image.src = data.image.source;
  view.image.alt = "";
}

function patchAt(event) {
  const canvas = event.target.closest("canvas");
  if (!canvas) return null;
  const box = canvas.getBoundingClientRect();
  const inside = (share) => Math.min(Math.max(share, 0), 0.999999);
  return [inside((event.clientY - box.top) / box.height), inside((event.clientX - box.left) / box.width)];
}

function point(view, patch) {
  view.hover.patch = patch;
  view.later();
}

// Arrow keys while the stage has the focus: from patch to patch.
function walk(view, event) {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move || event.ctrlKey || event.metaKey || event.altKey || !view.kind.walks(view)) return;
  event.preventDefault();
  event.stopPropagation();
  const grid = view.maps.gridOf(view.choice);
  const cell = view.kind.cell(view) ?? grid.map((size) => Math.floor(size / 2));
  view.kind.step(view, cell.map((at, i) => Math.min(Math.max(at + move[i], 0), grid[i] - 1)), event.shiftKey);
}

// ---------------------------------------------------------------- patches of a page of words

function lockedCell(view) {
  return view.state.patch && view.cellOf(view.state.patch);
}

// A patch whose attention was kept is shown beside the words that are chosen.
function lockPatch(view, patch) {
  const same = String(view.cellOf(patch)) === String(lockedCell(view));
  lockAt(view, same ? null : patch);
}

function lockCell(view, cell) {
  const grid = view.maps.gridOf(view.choice);
  lockAt(view, cell.map((at, i) => (at + 0.5) / grid[i]));
}

function lockAt(view, patch) {
  const words = view.state.chosen.filter((entry) => view.maps.of(entry) === "words");
  const kept = patch && view.keptAt(patch);
  view.set({ patch, chosen: kept === null ? words : [...words, kept] });
}

// The middle of a patch, in shares of the image.
function pointOf(view, entry) {
  if (!view.data.entries[entry].cell) return view.state.patch;
  const grid = view.maps.gridOf(view.choiceOf("patches"));
  return view.cellOn(entry, grid).map((at, i) => (at + 0.5) / grid[i]);
}

// ---------------------------------------------------------------- patches of a page of queries

function cellOfQuery(view) {
  return view.data.entries[view.state.chosen.at(-1)]?.cell;
}

function queryPatch(view, patch, add) {
  queryCell(view, view.cellOf(patch), add);
}

function queryCell(view, cell, add) {
  const { patches } = view.data;
  if (patches !== null) view.choose(patches.first + cell[0] * patches.grid[1] + cell[1], add);
}

// ---------------------------------------------------------------- panels

// What stands on the stage: the image (null), if it is to be seen, and a map for each entry.
function panelsOf(view) {
  const entries = view.state.show === "image" ? [] : view.shown;
  const image = view.data.image && (view.state.show === "beside" || !entries.length);
  return [...(image || !entries.length ? [null] : []), ...entries];
}

function renderStage(view) {
  const { stage } = view.part;
  const panels = panelsOf(view);
  stage.style.setProperty("--columns", panels.length === 1 ? 1 : panels.length <= 4 ? 2 : 3);
  while (stage.children.length > panels.length) stage.lastChild.remove();
  while (stage.children.length < panels.length) {
    stage.append(make("figure", {}, make("canvas"), make("figcaption")));
  }
  stage.classList.toggle("many", panels.length > 1);
  panels.forEach((entry, i) => renderPanel(view, stage.children[i], entry, panels.length > 1));
}

// The image beside maps is marked as such; alone, it is the panel of no entry, or of those chosen.
function renderPanel(view, figure, entry, many) {
  const [canvas, caption] = figure.children;
  const beside = entry === null && many;
  const names = entry === null ? view.shown : [entry];
  const name = beside ? "image" : names.map((i) => view.name(i)).join(", ");
  figure.toggleAttribute("data-plain", beside);
  if (beside) delete figure.dataset.panel;
  else figure.dataset.panel = name;
  caption.textContent = view.mixed && entry !== null ? `${name} · 0 to ${number(view.tops[view.maps.of(entry)])}` : name;
  canvas.style.aspectRatio = view.aspect;
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(width / view.aspect);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  drawEntry(view, canvas.getContext("2d"), { x: 0, y: 0, width, height }, entry, ratio);
}

function drawEntry(view, context, box, entry, weight) {
  const of = entry === null ? view.of : view.maps.of(entry);
  const [h, w] = view.maps.gridOf(view.choiceOf(of));
  const image = view.loaded;
  const blank = { h, w, data: new Float32Array(h * w) };
  const map = entry !== null ? view.mapOf(entry) : image ? null : blank;
  const engraver = map && view.engraved ? (view.engraver ??= new Engraver(image)) : null;
  const { shades: colours, state } = view;
  const top = view.tops[of];
  const patches = { grid: { h, w }, framed: framesOf(view, entry, [h, w]) };
  drawPanel(context, box, { image, engraver, map, top, colours, state, patches, weight });
}

// The patch pointed at, and the one that is locked or that the map is of; in the image also those
// that can be chosen there.
function framesOf(view, entry, grid) {
  const at = ([v, u]) => [Math.floor(v * grid[0]), Math.floor(u * grid[1])];
  const own = entry !== null && view.data.entries[entry].cell ? view.cellOn(entry, grid) : null;
  const locked = own ?? (view.state.patch && at(view.state.patch));
  const frames = [[view.hover.patch && at(view.hover.patch), grid, false], [locked, grid, true]];
  const open = entry === null && view.at.words && view.at.patches ? view.kept : [];
  for (const one of open) frames.unshift([view.cellOn(one, view.patchGrid), view.patchGrid, false]);
  return frames.filter(([cell]) => cell).map(([cell, [h, w], locked]) => ({ cell, grid: { h, w }, locked }));
}

// ---------------------------------------------------------------- the colour bar

function renderScale(view) {
  const { part, even } = view;
  const map = { h: 1, w: 256, data: Float32Array.from({ length: 256 }, (_, i) => i / 255) };
  part.ramp.getContext("2d").drawImage(painted(map, 1, view.shades), 0, 0);
  part["scale-min"].textContent = "0";
  part["scale-max"].textContent = number(view.top);
  part.uniform.hidden = even.place === null;
  part.uniform.style.left = `${100 * even.place}%`;
  part.uniform.title = even.text;
}
