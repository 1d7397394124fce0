// What sets the step, the layer and the head: sliders, buttons, thumbnails and the keyboard.

const AXES = ["step", "layer", "head"];

function listOf(view, axis) {
  return { step: view.data.steps, layer: view.layers.map((i) => view.data.layers[i]), head: view.heads }[axis];
}

// Where on its slider a choice stands, and what a place on it chooses: layers are numbered through.
function placeOf(view, axis, choice) {
  return axis === "layer" ? view.layers.indexOf(choice) : choice;
}

function choiceAt(view, axis, place) {
  return axis === "layer" ? view.layers[place] : place;
}

function buildControls(view) {
  const { part, data } = view;
  for (const axis of AXES) {
    view.listen(part[axis], "input", () => view.set({ [axis]: choiceAt(view, axis, Number(part[axis].value)) }));
    view.listen(part[axis].closest(".row"), "click", ({ target }) => {
      const button = target.closest("[data-choice]");
      if (button) view.set({ [axis]: button.dataset.choice });
    });
  }
  for (const name of ["scale", "show"]) {
    for (const button of part[name].children) {
      view.listen(button, "click", () => view.set({ [name]: button.dataset.value }));
    }
  }
  for (const name of ["grid", "smooth"]) {
    view.listen(part[name], "change", () => view.set({ [name]: part[name].checked }));
  }
  view.listen(part.relief, "input", () => view.set({ relief: part.relief.value / 100 }));
  part.play.hidden = data.steps.length < 2;
  view.listen(part.play, "click", () => (view.timer ? view.stop() : view.play()));
}

function renderControls(view) {
  const { part, state, data, kind } = view;
  renderGroups(view);
  for (const axis of AXES) renderAxis(view, axis);
  for (const name of ["scale", "show"]) {
    for (const button of part[name].children) {
      button.setAttribute("aria-pressed", button.dataset.value === state[name]);
    }
  }
  const patches = view.of === "patches" && data.kind === "words";
  const [, own, shared] = part.scale.children;
  [own.textContent, shared.textContent] = patches ? ["Patch", "All patches"] : [kind.ownScale[0], kind.sharedScale[0]];
  part.grid.checked = state.grid;
  part.smooth.checked = state.smooth;
  part.relief.value = Math.round(state.relief * 100);
  part["relief-label"].hidden = state.show !== "overlay";
  part.play.textContent = view.timer ? "❚❚" : "▶";
  part.play.setAttribute("aria-label", view.timer ? "Pause" : "Play the steps");
  renderCourse(view);
}

// Words and patches have layers of their own; the buttons are those of what is chosen.
function renderGroups(view) {
  const { groups } = view.part;
  if (groups.dataset.of === view.of) return;
  groups.dataset.of = view.of;
  const all = { name: "all", label: "All", title: "" };
  groups.replaceChildren(...[all, ...view.groups].map(({ name, label, title }) =>
    make("button", { type: "button", "data-choice": name, text: label, title })));
}

function renderAxis(view, axis) {
  const { part, data } = view;
  const now = view.choice[axis];
  const input = part[axis], text = axisText(view, axis);
  const count = listOf(view, axis).length;
  Object.assign(input, { min: 0, max: count - 1, step: 1, disabled: count < 2 });
  input.closest(".row").classList.toggle("fixed", count < 2);
  input.value = typeof now === "number" ? placeOf(view, axis, now) : 0;
  input.classList.toggle("idle", typeof now !== "number");
  part[`${axis}-out`].textContent = text;
  part[`${axis}-out`].title = axis === "layer" && typeof now === "number" ? data.layers[now].name : "";
  input.setAttribute("aria-valuetext", text);
  for (const button of input.closest(".row").querySelectorAll("[data-choice]")) {
    button.setAttribute("aria-pressed", button.dataset.choice === String(now));
  }
}

function axisText(view, axis) {
  const now = view.choice[axis];
  if (typeof now === "number") {
    const one = listOf(view, axis)[placeOf(view, axis, now)];
    return { step: one.text, layer: one.label, head: `head ${one}` }[axis];
  }
  if (view.averaged.includes(axis)) return "averaged while running";
  return `mean of ${(axis === "layer" ? view.maps.layersOf(view.choice) : listOf(view, axis)).length}`;
}

function renderCourse(view) {
  const { part, data, maps } = view;
  const entry = view.lead;
  // Of a patch the mean is always the same: it gives all that it has.
  const read = view.of === "words" ? mean : (map) => extent(map)[1];
  const along = () => data.steps.map((_, step) => read(maps.map(entry, { ...view.choice, step }).data));
  const values = entry === undefined ? [] : along();
  drawCourse(part.course, values, view.state.step, getComputedStyle(view.root).color);
  part.course.title = `${view.of === "words" ? "Mean" : "Greatest"} attention in the map, at each step`;
}

// ---------------------------------------------------------------- the navigator

function buildNavigator(view) {
  view.listen(view.part.navigator, "click", ({ target }) => {
    const thumb = view.thumbs.find(({ button }) => button.contains(target));
    if (thumb) view.set({ layer: thumb.layer, head: thumb.head });
  });
}

// One thumbnail for each layer and head of words, or of patches.
function fillNavigator(view) {
  const { part, data } = view;
  view.thumbed = view.of;
  part.navigator.replaceChildren();
  const heads = view.heads.length > 1 ? view.heads.map((_, i) => i) : [];
  const layers = ["all", ...(view.layers.length > 1 ? view.layers : [])];
  part.navigator.style.setProperty("--columns", heads.length + 1);
  const titles = [heads.length ? "all heads" : "heads averaged", ...heads.map((head) => `head ${view.heads[head]}`)];
  part.navigator.append(make("span"), ...titles.map((text) => make("span", { class: "head", text })));
  view.thumbs = [];
  for (const layer of layers) {
    const info = layer === "all" ? { label: "all layers", name: "" } : data.layers[layer];
    part.navigator.append(make("span", { class: "layer", text: info.label, title: info.name }));
    for (const head of ["all", ...heads]) buildThumb(view, layer, head);
  }
}

function buildThumb(view, layer, head) {
  const { data } = view;
  const whole = layer === "all" ? "all layers" : data.layers[layer].name;
  const name = `${whole}, ${head === "all" ? "all heads" : `head ${view.heads[head]}`}`;
  const named = { "aria-label": name, title: name, "data-layer": layer, "data-head": head };
  const button = make("button", { type: "button", class: "thumb", ...named }, make("canvas"));
  button.style.aspectRatio = view.aspect;
  button.disabled = !view.maps.layersOf({ of: view.of, layer, head }).length;
  view.part.navigator.append(button);
  view.thumbs.push({ button, layer, head });
}

function renderNavigator(view) {
  if (view.thumbed !== view.of) fillNavigator(view);
  const { part, state, choice } = view;
  const entry = view.lead;
  const title = entry === undefined ? "Layers and heads" : `Layers and heads for “${view.name(entry)}”`;
  part["navigator-title"].textContent = title;
  for (const { button, layer, head } of view.thumbs) {
    button.setAttribute("aria-pressed", layer === choice.layer && head === choice.head);
  }
  const key = [entry, state.step, state.scale, state.next, ...view.scaledOf(view.of)].join();
  if (view.navigated === key) return;
  view.navigated = key;
  drawThumbs(view, entry);
}

// A thumbnail has a scale of its own and its top printed on it, or all are one figure on one scale.
function drawThumbs(view, entry) {
  const { of, choice: { step, next } } = view;
  const open = view.thumbs.filter(({ button }) => !button.disabled);
  const single = ({ length }) => (length > 1 ? 0 : "all");
  const finest = { step, of, layer: view.layers.length > 1 ? view.layers[0] : "all", head: single(view.heads), next };
  const maps = entry === undefined ? []
    : open.map(({ layer, head }) => view.maps.map(entry, { of, step, layer, head, next }));
  const shared = maps.length && view.state.scale !== "view" ? view.topOf(maps, finest) : null;
  open.forEach(({ button }, i) => {
    const top = maps[i] && (shared ?? scaleOf(maps[i]).top);
    button.classList.toggle("empty", !maps[i]);
    button.replaceChildren(
      ...(maps[i] ? [painted(maps[i], top, view.colours)] : []),
      ...(maps[i] && shared === null ? [make("i", { text: number(top) })] : []));
  });
  view.part["navigator-note"].textContent = thumbsText(view, entry, shared);
}

function thumbsText(view, entry, shared) {
  if (entry === undefined) return `Choose one of the ${view.many}.`;
  if (shared === null) return "Each thumbnail has a scale of its own, from 0 to the value printed on it.";
  const whose = { own: "shared by all layers and heads", shared: `shared by all ${view.many}, layers and heads` };
  return `One scale for all thumbnails: 0 to ${number(shared)}, ${whose[view.state.scale]}.`;
}

// ---------------------------------------------------------------- the keyboard

// The viewers that listen to the keyboard, the one used last in front: while the focus is nowhere,
// a key is for that one alone.
const listening = [];

function buildKeys(view) {
  if (!view.options.keyboard) return;
  view.part.keys.hidden = false;
  const leave = () => listening.splice(listening.indexOf(view), 1);
  const use = () => {
    leave();
    listening.unshift(view);
  };
  listening.push(view);
  view.ended.signal.addEventListener("abort", leave, { once: true });
  for (const type of ["pointerdown", "focusin"]) view.listen(view.root, type, use);
  view.listen(view.root, "keydown", (event) => pressKey(view, event));
  view.listen(document, "keydown", (event) => {
    const unfocused = [document.body, document.documentElement].includes(event.target);
    if (unfocused && listening[0] === view) pressKey(view, event);
  });
}

function pressKey(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const slider = event.target instanceof HTMLInputElement && event.target.type === "range";
  if (slider && event.key.startsWith("Arrow")) return;
  const act = {
    ArrowUp: () => moveAlong(view, "layer", -1), ArrowDown: () => moveAlong(view, "layer", 1),
    ArrowLeft: () => moveAlong(view, "head", -1), ArrowRight: () => moveAlong(view, "head", 1),
    "[": () => moveAlong(view, "step", -1), "]": () => moveAlong(view, "step", 1),
    g: () => view.set({ grid: !view.state.grid }), Escape: () => view.clear(),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

// "all" stands before the first index.
function moveAlong(view, axis, by) {
  const count = listOf(view, axis).length;
  if (count < 2) return;
  const now = view.choice[axis];
  const first = () => placeOf(view, axis, view.maps.layersOf({ of: view.of, layer: now, head: "all" })[0]);
  const at = typeof now === "number" ? placeOf(view, axis, now) : now === "all" ? -1 : first() - 1;
  const next = Math.min(Math.max(at + by, -1), count - 1);
  view.set({ [axis]: next < 0 ? "all" : choiceAt(view, axis, next) });
}
