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
      chosen: [], step: "all", layer: data.reading.layer, head: "all", next: data.reading.carriers,
      scale: data.scale === "shared" ? "shared" : "view", show: "beside", relief: 1,
      smooth: false, grid: false, special: false, patch: null,
    };
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

  get choice() {
    const { step, layer, head, next } = this.state;
    return { step, layer, head, next };
  }

  get shown() { return this.hover.entry === null ? this.state.chosen : [this.hover.entry]; }

  name(entry) { return this.data.entries[entry].name; }

  isSpecial(entry) { return this.data.entries[entry].role !== "word"; }

  set(change) {
    Object.assign(this.state, change);
    const { layer } = this.state;
    const { layers, heads } = this.data;
    const count = typeof layer === "number" ? layers[layer].heads.length : heads.length;
    if (this.state.head !== "all" && this.state.head >= count) this.state.head = count - 1;
    if (!this.maps.layersOf(this.choice).length) this.state.head = "all";
    this.later();
  }

  later() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = undefined;
      this.render();
    });
  }

  render() {
    this.top = this.topOf(this.shown.map((entry) => this.maps.map(entry, this.choice)));
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
    this.set({ chosen: !add ? [entry] : rest.length < chosen.length ? rest : [...chosen, entry] });
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

  // The query that a cell is, on a page of queries that has one for every patch.
  queryAt([row, column]) {
    const { firstPatch } = this.data;
    return firstPatch === null ? null : firstPatch + row * this.maps.gridOf(this.choice)[1] + column;
  }

  // ------------------------------------------------------------ scales and colours

  // Every scale begins at 0: what is dark is little, whatever else is on screen.
  topOf(maps, choice = this.choice) {
    if (this.state.scale === "view") return maps.length ? Math.max(...maps.map((map) => scaleOf(map).top)) : 1;
    return this.maps.top(choice, this.scaled);
  }

  // The entries that the scale is made for. Small words often take many times what a subject takes:
  // on one scale for all of them a subject's map would be dark.
  get scaled() {
    if (this.state.scale === "own" && this.shown.length) return this.shown;
    return [...this.maps.column.keys()].filter((i) => this.anySpecial || !this.isSpecial(i));
  }

  get anySpecial() { return this.shown.some((i) => this.isSpecial(i)); }

  // What a scale is made for, in words.
  get many() { return this.anySpecial ? `${this.kind.entries} and special tokens` : this.kind.entries; }

  // What every map would be if attention took no notice of the tokens: of how many tokens the first
  // map is the sum, their share of all, and where on the scale that stands, if it does.
  get even() {
    const { tokens: all, entries } = this.data;
    const entry = entries[this.shown[0]];
    const count = entry ? entry.tokens + (this.state.next && entry.next ? entry.next.tokens : 0) : 0;
    const place = count / all / this.top;
    const text = `mark: even attention to all tokens, ${count} of ${all} = ${number(count / all)}`;
    return { place: place > 0 && place < 1 ? place : null, text };
  }

  get aspect() {
    const [h, w] = this.data.image ? this.data.image.size : this.maps.gridOf({ layer: "all", head: "all" });
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
