// The state of one viewer, and what follows from it. The other parts build and draw what stands on
// the page; they read the state here and change it by `set`, which draws everything again.

class View {
  constructor(data, options) {
    if (!Object.hasOwn(KINDS, data.kind)) {
      const known = Object.keys(KINDS).join(", ");
      throw new TypeError(`regard.mount: data of kind ${data.kind} cannot be shown. Known: ${known}.`);
    }
    this.data = data;
    this.kind = KINDS[data.kind];
    this.options = options;
    this.maps = new Maps(data);
    this.colours = bytes(data.colours);
    this.root = make("div", { class: "regard" });
    this.root.innerHTML = skeleton(this.kind, data); // constant: nothing from the trace is in it
    this.part = {};
    for (const found of this.root.querySelectorAll("[data-part]")) this.part[found.dataset.part] = found;
    this.ended = new AbortController();
    this.hover = { entry: null, patch: null };
    // A patch is kept as the share of the image at its centre, so that it survives a change of grid.
    this.state = {
      chosen: [], step: "all", next: data.carriers,
      scale: data.scale === "shared" ? "shared" : "view", show: "beside", relief: 1,
      smooth: false, grid: false, special: false, patch: null,
    };
    // Words and patches have layers of their own, so each has a layer and a head that are chosen.
    this.at = {};
    for (const [of, { layer }] of Object.entries(data.sides)) this.at[of] = { layer, head: "all" };
    this.state.chosen = this.kind.first(this);
  }

  // Every listener is added here, so that all of them are gone when the viewer is.
  listen(target, type, act) {
    target.addEventListener(type, act, { signal: this.ended.signal });
  }

  destroy() {
    this.ended.abort();
    clearInterval(this.timer);
    cancelAnimationFrame(this.pending);
    this.root.remove();
  }

  // What the controls are about: of the patches or of the words, those that were chosen last.
  get of() {
    const last = this.shown.at(-1);
    return last === undefined ? Object.keys(this.at)[0] : this.maps.of(last);
  }

  // The entry that the controls are about.
  get lead() { return this.shown.find((entry) => this.maps.of(entry) === this.of); }

  get choice() { return this.choiceOf(this.of); }

  choiceOf(of) {
    const { step, next } = this.state;
    return { of, step, next, ...this.at[of] };
  }

  mapOf(entry) { return this.maps.map(entry, this.choiceOf(this.maps.of(entry))); }

  get layers() { return this.maps.allOf(this.of); }

  get heads() { return this.maps.headsOf(this.of); }

  get groups() { return this.data.sides[this.of].groups; }

  get averaged() { return this.data.sides[this.of].averaged; }

  get mixed() { return new Set(this.shown.map((entry) => this.maps.of(entry))).size > 1; }

  get shown() { return this.hover.entry === null ? this.state.chosen : [this.hover.entry]; }

  name(entry) { return this.data.entries[entry].name; }

  isSpecial(entry) { return this.data.entries[entry].role !== "word"; }

  // A layer and a head are those of what the controls are about.
  set({ layer, head, ...change }) {
    Object.assign(this.state, change);
    const at = this.at[this.of];
    if (layer !== undefined) at.layer = layer;
    if (head !== undefined) at.head = head;
    const all = this.maps.headsOf(this.of);
    const count = typeof at.layer === "number" ? this.data.layers[at.layer].heads.length : all.length;
    if (at.head !== "all" && at.head >= count) at.head = Math.max(count - 1, 0);
    if (!this.maps.layersOf({ ...at, of: this.of }).length) at.head = "all";
    this.later();
  }

  later() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = undefined;
      this.render();
    });
  }

  render() {
    this.tops = {};
    for (const of of Object.keys(this.at)) {
      const maps = this.shown.filter((entry) => this.maps.of(entry) === of).map((entry) => this.mapOf(entry));
      this.tops[of] = maps.length || of === this.of ? this.topOf(maps, this.choiceOf(of)) : 1;
    }
    this.top = this.tops[this.of];
    renderChips(this);
    renderControls(this);
    renderStage(this);
    renderScale(this);
    renderCaption(this);
    this.kind.renderRanks(this);
    renderNavigator(this);
    renderPython(this);
    if (this.options.permalink && !this.timer) remember(this);
  }

  // A click locks one entry; with shift it adds one, or takes it away again.
  choose(entry, add) {
    if (!this.maps.has(entry)) return;
    const { chosen } = this.state;
    const rest = chosen.filter((other) => other !== entry);
    this.hover.entry = null;
    const patch = this.kind.locked(this, entry);
    this.set({ patch, chosen: !add ? [entry] : rest.length < chosen.length ? rest : [...chosen, entry] });
  }

  preview(entry) {
    this.hover.entry = entry;
    this.later();
  }

  clear() {
    this.stop();
    this.hover = { entry: null, patch: null };
    this.set({ chosen: this.kind.cleared, patch: null });
  }

  play() {
    const next = () => this.set({ step: this.state.step === "all" ? 0 : (this.state.step + 1) % this.maps.steps });
    next();
    this.timer = setInterval(next, 160);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.later();
  }

  // ------------------------------------------------------------ patches

  cellOf([v, u]) {
    const [h, w] = this.maps.gridOf(this.choice);
    return [Math.floor(v * h), Math.floor(u * w)];
  }

  // The cell of a patch on a grid: its own row and column, or where its point lies.
  cellOn(entry, [h, w]) {
    const { cell: [y, x], point } = this.data.entries[entry];
    if (!point) return [(y + h) % h, (x + w) % w];
    return [Math.min(Math.floor(y * h), h - 1), Math.min(Math.floor(x * w), w - 1)];
  }

  // The grid on which patches are pointed at: that of all patches, or one of patches large enough to
  // be hit.
  get patchGrid() {
    if (this.data.patches) return this.data.patches.grid;
    const grids = this.maps.allOf("patches").map((i) => this.data.layers[i].grid)
      .sort((a, b) => a[0] * a[1] - b[0] * b[1]);
    return grids.find(([h, w]) => h * w >= 64) ?? grids.at(-1);
  }

  // The patch at a point of the image, of those whose attention the page has.
  keptAt([v, u]) {
    if (!this.at.patches) return null;
    const [h, w] = this.patchGrid;
    const cell = [Math.floor(v * h), Math.floor(u * w)];
    if (this.data.patches) return this.data.patches.first + cell[0] * w + cell[1];
    const found = this.kept.find((entry) => String(this.cellOn(entry, [h, w])) === String(cell));
    return found ?? null;
  }

  // The patches that were kept one by one.
  get kept() {
    const entries = this.data.entries.map((_, i) => i);
    return entries.filter((i) => this.data.entries[i].cell && !this.data.patches);
  }

  // ------------------------------------------------------------ scales and colours

  // Every scale begins at 0: what is dark is little, whatever else is on screen.
  topOf(maps, choice = this.choice) {
    if (this.state.scale === "view") return maps.length ? Math.max(...maps.map((map) => scaleOf(map).top)) : 1;
    return this.maps.top(choice, this.scaledOf(choice.of));
  }

  // The entries that the scale is made for. Small words often take many times what a subject takes:
  // on one scale for all of them a subject's map would be dark.
  scaledOf(of) {
    if (this.state.scale === "own" && this.shown.length) return this.shown.filter((i) => this.maps.of(i) === of);
    return [...this.maps.column.keys()].filter((i) => this.maps.of(i) === of && (this.anySpecial || !this.isSpecial(i)));
  }

  get anySpecial() { return this.shown.some((i) => this.isSpecial(i)); }

  // What a scale is made for, in words.
  get many() {
    const own = this.of === "words" || this.data.kind === "queries";
    const entries = own ? this.kind.entries : "patches";
    return this.anySpecial ? `${entries} and special tokens` : entries;
  }

  // What every map would be if attention took no notice of the tokens: of how many tokens the first
  // map is the sum, their share of all, and where on the scale that stands, if it does.
  get even() {
    const { entries, prefix } = this.data;
    const [h, w] = this.maps.gridOf(this.choice);
    const all = this.of === "patches" ? prefix.length + h * w : this.data.tokens;
    const entry = entries[this.lead];
    const count = entry ? entry.tokens + (this.state.next && entry.next ? entry.next.tokens : 0) : 0;
    const place = count / all / this.top;
    const text = `mark: even attention to all tokens, ${count} of ${all} = ${number(count / all)}`;
    return { place: place > 0 && place < 1 ? place : null, text };
  }

  get aspect() {
    const [h, w] = this.data.image ? this.data.image.size : this.maps.gridOf({ of: this.of, layer: "all", head: "all" });
    return w / h;
  }

  get loaded() { return this.image?.complete && this.image.naturalWidth ? this.image : null; }

  get engraved() { return this.state.show === "overlay" && this.loaded !== null; }

  // The colours of the map as it is drawn, and as the colour bar must show them.
  get shades() {
    const depth = this.engraved ? Math.round(DEPTH * this.state.relief) : 0;
    if (this.muted?.depth !== depth) this.muted = { depth, colours: muted(this.colours, depth) };
    return this.muted.colours;
  }
}
