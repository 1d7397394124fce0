
// ---------------------------------------------------------------- a picture that was looked at

// The same view where a token of a picture looks: what are words above are queries here, the tokens
// before the patches by their names and every patch by its place. A click on a patch makes it the
// query. `data` is what regard.views.picture.payload makes.
const KEYS = "<kbd>&uarr;</kbd> <kbd>&darr;</kbd> layer &ensp; <kbd>&larr;</kbd> <kbd>&rarr;</kbd> head, or patch where the picture has the focus &ensp; <kbd>g</kbd> grid &ensp; <kbd>Esc</kbd> first token";

class PictureViewer extends Viewer {
  build() {
    super.build();
    const { part, root } = this;
    part.chips.setAttribute("aria-label", "Tokens that look");
    root.querySelector(".legend").replaceChildren(
      element("span", { text: this.data.firstPatch === null ? "click a token to see where it looks" : "click a token, or a patch of the picture, to see where it looks; shift-click to compare" }));
    const [, own, all] = part.scale.children;
    Object.assign(own, { textContent: "Query", title: "One scale for all layers and heads of the tokens shown, at this level of averaging" });
    Object.assign(all, { textContent: "All queries", title: "One scale for all tokens, and for all layers and heads at this level of averaging" });
    root.querySelector('.row[data-axis="step"]').hidden = true;
    root.querySelector(".words h2").textContent = "Prediction";
    root.querySelector(".words").hidden = part.csv.hidden = !this.data.table.rows.length;
    part.csv.textContent = "Save prediction as CSV";
    root.querySelector(".keys").innerHTML = KEYS; // a constant, as the skeleton is
    part.stage.setAttribute("aria-label", "Picture with the attention map; arrow keys choose a patch to look from");
  }

  firstWords() { return [0]; }

  buildChip(word, i) {
    if (!word.cell) super.buildChip(word, i);
  }

  clear() {
    this.hover = { word: null, patch: null };
    this.set({ words: this.firstWords(), patch: null });
  }

  // ------------------------------------------------------------ queries

  wordAt([row, column]) {
    const { firstPatch } = this.data;
    return firstPatch === null ? null : firstPatch + row * this.maps.gridOf(this.choice)[1] + column;
  }

  lock(patch, add) {
    const word = patch && this.wordAt(this.cellOf(patch));
    if (word !== null) this.choose(word, add);
  }

  stageKey(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey || this.data.firstPatch === null) return;
    event.preventDefault();
    event.stopPropagation();
    const grid = this.maps.gridOf(this.choice);
    const now = this.data.words[this.state.words.at(-1)]?.cell ?? grid.map((size) => Math.floor(size / 2));
    this.choose(this.wordAt(now.map((at, i) => Math.min(Math.max(at + move[i], 0), grid[i] - 1))), event.shiftKey);
  }

  frames(word) {
    const pointed = this.hover.patch ? [{ cell: this.cellOf(this.hover.patch), locked: false }] : [];
    const cell = word === null ? null : this.data.words[word].cell;
    return cell ? [...pointed, { cell, locked: true }] : pointed;
  }

  get many() { return "queries"; }

  get scaled() {
    return this.state.scale === "word" && this.shown.length ? this.shown : [...this.maps.column.keys()];
  }

  // What a query gives to each token before the patches, averaged as its map is.
  before(word) {
    const { data, maps } = this;
    this.shares ??= floats(data.before);
    const names = data.prefix.length;
    const sums = new Float64Array(names);
    const layers = maps.layersOf(this.choice);
    const { head } = this.state;
    for (const index of layers) {
      const layer = data.layers[index];
      const heads = head === "all" ? layer.heads.map((_, i) => i) : [head];
      for (const a of heads) {
        const tile = layer.firstRange + a * maps.columns + maps.column.get(word);
        for (let i = 0; i < names; i++) sums[i] += this.shares[tile * names + i] / heads.length / layers.length;
      }
    }
    return data.prefix.map((name, i) => [name, sums[i]]);
  }

  // ------------------------------------------------------------ what stands beside

  captionRows() {
    const { data } = this;
    const rows = [["Query", this.wordText()], ["Layer", this.layerText()], ["Head", this.headText()], ["Grid", this.gridCaption()],
      ["Method", this.methodText()], ["Scale", this.scaleText()], ...this.sinkRows(), ...this.outlierRows(), ["Model", data.model], ["Picture", data.shown]];
    if (data.said) rows.push(["Predicted", data.said]);
    return [...rows, ["Parity", data.parity]];
  }

  // Tokens whose norm is outsized in what the layers read.
  outlierRows() {
    const layers = this.maps.layersOf(this.choice).map((i) => this.data.layers[i]);
    const counts = new Map();
    for (const name of layers.flatMap(({ outliers }) => outliers)) counts.set(name, (counts.get(name) ?? 0) + 1);
    const found = [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => (layers.length > 1 ? `${name} in ${count} of ${layers.length} layers` : name));
    return found.length ? [["Outliers", `of norm: ${found.slice(0, 4).join("; ")}${found.length > 4 ? `; ${found.length - 4} more` : ""}`]] : [];
  }

  methodText() {
    return "self-attention weights after the softmax, plain mean; what goes to tokens before the patches is left out, not renormalised";
  }

  renderRanks() {
    const { part, data } = this;
    const word = this.shown[0];
    const map = this.maps.map(word, this.choice);
    const before = this.before(word);
    const patches = map.data.reduce((sum, value) => sum + value, 0);
    part["patch-title"].textContent = `“${data.words[word].name}” gives its attention to`;
    part.ranks.replaceChildren(...[...before, [`${map.data.length} patches`, patches]].map(([name, value]) => this.shareRow(name, value)));
    const cell = this.hover.patch && this.cellOf(this.hover.patch);
    const even = number(1 / data.tokens);
    part["patch-note"].textContent = cell
      ? `Patch y ${cell[0]}, x ${cell[1]} of ${map.h}×${map.w} gets ${number(map.data[cell[0] * map.w + cell[1]])}; even attention is ${even}.`
      : `Even attention to each of ${data.tokens} tokens is ${even}. Point at a patch for its share.`;
  }

  shareRow(name, value) {
    const bar = element("i");
    bar.style.width = `${100 * Math.min(value, 1)}%`;
    return element("li", { "data-rank": name, "data-value": value },
      element("span", { text: name, class: "name" }), element("span", { class: "bar" }, bar), element("span", { class: "num", text: number(value) }));
  }

  call(word, given) { return `trace.attention(${[word.python, ...given].join(", ")})`; }

  get tableFile() { return "predictions.csv"; }
}

export function viewPicture(root, data) {
  return new PictureViewer(root, data).state;
}
