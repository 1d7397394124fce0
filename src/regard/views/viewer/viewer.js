// The viewer of one trace: an ES module without a build step, used as it stands by the page.
//
//   view(root, data)  fills `root` and returns the state of the view.
//
// picture.js, which stands after this on the page of a picture, makes of it a view of patches.
//
// `data` is what regard.views.page.payload makes. A tile is one word's map at one step, layer and
// head, as bytes with its own range: value = low + byte / 255 * span; values above the range, which
// sinks would stretch, are listed as peaks. Every map on screen is the
// plain mean of tiles, as Trace.heatmap defines it. Text of the prompt is only ever set as text.

const SKELETON = `
<header class="top">
  <span class="brand">regard</span>
  <span class="run" data-part="run"></span>
</header>
<section class="prompt">
  <div class="chips" role="group" aria-label="Words of the prompt" data-part="chips"></div>
  <div class="chips special" role="group" aria-label="Special tokens" data-part="specials" hidden></div>
  <p class="legend">
    <span><i class="tint"></i>tint: share of attention (mass)</span>
    <span data-part="looks-legend"><i class="mark looks"></i>looks redundant</span>
    <span data-part="proved-legend"><i class="mark proved"></i>redundant, proved</span>
    <span>click a word, shift-click to compare</span>
    <label data-part="next-label" title="A causal text encoder leaves part of a word at the token after it: its map is added to the word's own"><input type="checkbox" data-part="next"> with the next token</label>
    <label><input type="checkbox" data-part="show-special"> special tokens</label>
  </p>
  <p class="notice" data-part="notice" hidden></p>
</section>
<main>
  <section class="picture" aria-label="Picture">
    <div class="stage" data-part="stage" tabindex="0" role="application"
      aria-label="Image with the attention map; arrow keys move over its patches, Enter locks one"></div>
    <div class="scale">
      <span class="num" data-part="scale-min"></span>
      <span class="ramp"><canvas data-part="ramp" width="256" height="1"></canvas><i data-part="uniform"></i></span>
      <span class="num" data-part="scale-max"></span>
      <span class="unit">attention weight</span>
      <span class="seg" role="group" aria-label="Colour scale" data-part="scale">
        <button type="button" data-value="view" title="From 0 to the top of what is on screen; each thumbnail has a scale of its own, and its top is printed on it">This view</button><button type="button" data-value="word" title="One scale for all steps, layers and heads of the words shown, at this level of averaging">Word</button><button type="button" data-value="shared" title="One scale for all words, and for all steps, layers and heads at this level of averaging">All words</button>
      </span>
    </div>
    <div class="tools">
      <span class="seg" role="group" aria-label="What is drawn" data-part="show">
        <button type="button" data-value="beside" title="The image, and the map beside it">Beside</button><button type="button" data-value="overlay" title="The map with the image engraved: lighter and darker within a patch, whose mean colour is still that of its value">Overlay</button><button type="button" data-value="map">Map</button><button type="button" data-value="image">Image</button>
      </span>
      <label class="relief" data-part="relief-label">Relief <input type="range" min="0" max="100" data-part="relief" aria-label="How deeply the image is engraved in the map"></label>
      <label><input type="checkbox" data-part="grid"> grid</label>
      <label title="Interpolated between patches: looks finer than what was measured"><input type="checkbox" data-part="smooth"> smooth (interpolated)</label>
    </div>
  </section>
  <section class="about">
    <h2>What am I looking at</h2>
    <dl class="caption" data-part="caption"></dl>
  </section>
  <div class="side">
    <section class="controls" aria-label="What is averaged">
      <div class="row" data-axis="step">
        <span class="label">Step</span>
        <span class="seg"><button type="button" data-choice="all">All</button></span>
        <span class="track"><canvas class="course" data-part="course" aria-hidden="true"></canvas><input type="range" data-part="step" aria-label="Denoising step"></span>
        <output data-part="step-out"></output>
        <button type="button" class="play" data-part="play" aria-label="Play the steps">&#9654;</button>
      </div>
      <div class="row" data-axis="layer">
        <span class="label">Layer</span>
        <span class="seg" data-part="places"></span>
        <span class="track"><input type="range" data-part="layer" aria-label="Layer"></span>
        <output data-part="layer-out"></output>
      </div>
      <div class="row" data-axis="head">
        <span class="label">Head</span>
        <span class="seg"><button type="button" data-choice="all">All</button></span>
        <span class="track"><input type="range" data-part="head" aria-label="Head"></span>
        <output data-part="head-out"></output>
      </div>
    </section>
    <section class="ranked">
      <h2 data-part="patch-title"></h2>
      <ol data-part="ranks"></ol>
      <p class="small" data-part="patch-note"></p>
    </section>
    <section class="navigator">
      <h2 data-part="navigator-title"></h2>
      <div class="thumbs" data-part="navigator" role="group" aria-label="Layers and heads"></div>
      <p class="small" data-part="navigator-note"></p>
    </section>
  </div>
</main>
<section class="words">
  <h2>Words</h2>
  <div class="scroll"><table data-part="table"><thead></thead><tbody></tbody></table></div>
  <p class="small" data-part="table-note"></p>
</section>
<section class="take">
  <h2>Take it with you</h2>
  <pre data-part="python" tabindex="0" aria-label="Python that reproduces this view"></pre>
  <p class="actions">
    <button type="button" data-part="copy">Copy Python</button>
    <button type="button" data-part="png">Save view as PNG</button>
    <button type="button" data-part="csv">Save words as CSV</button>
    <span class="small" role="status" data-part="status"></span>
  </p>
</section>
<section class="recipe">
  <h2>Recipe</h2>
  <dl data-part="recipe"></dl>
  <p class="keys small"><kbd>&uarr;</kbd> <kbd>&darr;</kbd> layer &ensp; <kbd>&larr;</kbd> <kbd>&rarr;</kbd> head &ensp; <kbd>[</kbd> <kbd>]</kbd> step &ensp; <kbd>g</kbd> grid &ensp; <kbd>Esc</kbd> clear</p>
</section>`;

// ---------------------------------------------------------------- numbers

function bytes(base64) {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

const floats = (base64) => new Float32Array(bytes(base64).buffer);

// Half-pixel centres, edges repeated: the definition that Trace.heatmap uses.
function taps(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(at);
    return [low, Math.min(low + 1, from - 1), at - low];
  });
}

function resized(map, h, w) {
  if (map.h === h && map.w === w) return map.data;
  const out = new Float32Array(h * w);
  const columns = taps(map.w, w);
  taps(map.h, h).forEach(([top, bottom, down], y) => {
    columns.forEach(([left, right, across], x) => {
      const above = map.data[top * map.w + left] * (1 - across) + map.data[top * map.w + right] * across;
      const below = map.data[bottom * map.w + left] * (1 - across) + map.data[bottom * map.w + right] * across;
      out[y * w + x] = above * (1 - down) + below * down;
    });
  });
  return out;
}

// How concentrated a map is: the share of it that its highest tenth of patches holds.
function concentration(data) {
  const ordered = Float32Array.from(data).sort();
  return mean(ordered.subarray(Math.floor(0.9 * ordered.length))) / (mean(ordered) || 1);
}

const mean = (data) => data.reduce((sum, value) => sum + value, 0) / data.length;

function extent(data) {
  let low = Infinity, high = -Infinity;
  for (const value of data) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// Where the scale of one map ends, as regard.views.scale has it: its greatest value, or the 98th
// percentile where that is less than half of it. Patches above twice the percentile are sinks.
function scaleOf({ w, data }) {
  const ordered = Float32Array.from(data).sort();
  const most = ordered.at(-1), high = ordered[Math.floor(0.98 * (ordered.length - 1))];
  if (ordered.length < 16 || !(high > 0 && high < most / 2)) return { top: most > 0 ? most : 1, above: 0, sinks: [] };
  const sinks = [...data.entries()].filter(([, value]) => value > 2 * high).sort(([, a], [, b]) => b - a)
    .map(([i, value]) => ({ y: Math.floor(i / w), x: i % w, value }));
  return { top: high, above: data.reduce((count, value) => count + (value > high), 0), sinks };
}

function sinksText(sinks) {
  const named = sinks.slice(0, 3).map(({ y, x, value }) => `y ${y}, x ${x} takes ${number(value)}`);
  return [...named, ...(sinks.length > 3 ? [`${sinks.length - 3} more`] : [])].join("; ");
}

// The maps of a trace. A choice is {step, layer, head, next}: each of the first three an index or
// "all", a layer also the name of a group of layers; next adds the token after a word to its map.
class Maps {
  constructor(data) {
    this.data = data;
    this.steps = data.steps.length;
    this.tiles = bytes(data.tiles);
    this.lows = floats(data.lows);
    this.spans = floats(data.spans);
    this.peakPlaces = new Uint32Array(bytes(data.peakPlaces).buffer);
    this.peakValues = floats(data.peakValues);
    this.column = new Map();
    data.words.forEach((word, i) => word.column === null || this.column.set(i, word.column));
    this.columns = data.columns;
    this.kept = new Map();
    this.tops = new Map();
  }

  layersOf({ layer, head }) {
    const all = this.data.layers.map((_, i) => i);
    const named = typeof layer === "number" ? [layer]
      : layer === "all" ? all : this.data.groups.find(({ name }) => name === layer).layers;
    return head === "all" ? named : named.filter((i) => head < this.data.layers[i].heads.length);
  }

  gridOf(choice) {
    const grids = this.layersOf(choice).map((i) => this.data.layers[i].grid);
    return grids.reduce((best, grid) => (grid[0] * grid[1] > best[0] * best[1] ? grid : best));
  }

  has(word) { return this.column.has(word); }

  // The columns whose sum is the map of a word: its own, and that of the token after it.
  columnsOf(word, next) {
    const after = next ? this.data.words[word].next : null;
    return [this.column.get(word), ...(after ? [after.column] : [])];
  }

  // Mean over the chosen steps and heads of one layer.
  layerMap(word, index, { step, head, next }) {
    const layer = this.data.layers[index];
    const [h, w] = layer.grid;
    const size = h * w;
    const sum = new Float64Array(size);
    const range = (choice, count) => (choice === "all" ? [0, count] : [choice, choice + 1]);
    const [s0, s1] = range(step, this.steps);
    const [h0, h1] = range(head, layer.heads.length);
    const read = this.columnsOf(word, next);
    for (let s = s0; s < s1; s++) {
      for (let a = h0; a < h1; a++) {
        for (const column of read) this.addTile(sum, layer, (s * layer.heads.length + a) * this.columns + column);
      }
    }
    const count = (s1 - s0) * (h1 - h0);
    return { h, w, data: Float32Array.from(sum, (value) => value / count) };
  }

  addTile(sum, layer, tile) {
    const low = this.lows[layer.firstRange + tile];
    const gain = this.spans[layer.firstRange + tile] / 255;
    const start = layer.firstByte + tile * sum.length;
    for (let i = 0; i < sum.length; i++) sum[i] += low + this.tiles[start + i] * gain;
    this.addPeaks(sum, start, low + 255 * gain);
  }

  // Peaks of the tile that begins at `start`, in which their bytes stand for `top`.
  addPeaks(sum, start, top) {
    let [low, high] = [0, this.peakPlaces.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.peakPlaces[middle] < start) low = middle + 1;
      else high = middle;
    }
    for (; this.peakPlaces[low] < start + sum.length; low++) sum[this.peakPlaces[low] - start] += this.peakValues[low] - top;
  }

  compute(word, choice) {
    const [h, w] = this.gridOf(choice);
    const layers = this.layersOf(choice);
    const data = new Float32Array(h * w);
    for (const index of layers) {
      const part = resized(this.layerMap(word, index, choice), h, w);
      for (let i = 0; i < data.length; i++) data[i] += part[i] / layers.length;
    }
    return { h, w, data };
  }

  map(word, choice) {
    const key = [word, choice.step, choice.layer, choice.head, choice.next].join();
    if (!this.kept.has(key)) {
      if (this.kept.size > 4000) this.kept.clear();
      this.kept.set(key, this.compute(word, choice));
    }
    return this.kept.get(key);
  }

  // The greatest top over some words and all choices that average as much as this one does.
  top(choice, words) {
    const kind = (value) => (value === "all" ? "all" : typeof value === "number" ? "one" : "group");
    const key = [kind(choice.step), kind(choice.layer), kind(choice.head), choice.next, ...words].join();
    if (!this.tops.has(key)) this.tops.set(key, this.highest(this.likes(choice), words));
    return this.tops.get(key);
  }

  likes(choice) {
    const { layers, groups, heads } = this.data;
    const many = (value, count) => (value === "all" ? ["all"] : Array.from({ length: count }, (_, i) => i));
    const layerChoices = typeof choice.layer === "string" && choice.layer !== "all"
      ? groups.map(({ name }) => name) : many(choice.layer, layers.length);
    return many(choice.step, this.steps).flatMap((step) =>
      layerChoices.flatMap((layer) => many(choice.head, heads.length).map((head) => ({ step, layer, head, next: choice.next }))));
  }

  highest(choices, words) {
    let top = 0;
    for (const word of words) {
      for (const choice of choices) {
        if (this.layersOf(choice).length) top = Math.max(top, scaleOf(this.compute(word, choice)).top);
      }
    }
    return top || 1;
  }
}

// ---------------------------------------------------------------- text

function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return value.toExponential(1);
  return Number(value.toPrecision(3)).toString();
}

// Numbers of one column share their decimals, enough for three digits of the greatest.
function column(values) {
  const top = Math.max(...values.filter((value) => value !== null).map(Math.abs), 0);
  const decimals = top ? Math.min(Math.max(2 - Math.floor(Math.log10(top)), 0), 4) : 0;
  return (value) => (value === null ? "" : value !== 0 && Math.abs(value) < 10 ** -decimals / 2 ? number(value) : value.toFixed(decimals));
}

const plural = (count, one, many = one + "s") => `${count} ${count === 1 ? one : many}`;
const gridText = ([h, w]) => `${h}×${w}`;

function element(tag, { text, part, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (part !== undefined) made.dataset.part = part;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const csvCell = (value) => {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

// ---------------------------------------------------------------- drawing

// A map as a small canvas of colours.
function painted(map, top, colours) {
  const canvas = element("canvas", { width: map.w, height: map.h });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(map.w, map.h);
  map.data.forEach((value, i) => {
    const colour = 3 * Math.round(Math.min(Math.max(value / top, 0), 1) * 255);
    picture.data.set(colours.subarray(colour, colour + 3), 4 * i);
    picture.data[4 * i + 3] = 255;
  });
  context.putImageData(picture, 0, 0);
  return canvas;
}

// Colours that leave room for a relief above and below, so that none is cut off.
const muted = (colours, depth) => Uint8Array.from(colours, (part) => Math.round(depth + (part * (255 - 2 * depth)) / 255));

const DEPTH = 36; // how much lighter or darker a pixel may be than its patch, as regard.views.engrave has it
const FINE = 512; // pixels of the longer side to which small images are enlarged

// An image engraved into a map: what the image does within a patch, lighter and darker alike, so
// that the mean colour of each patch is that of its value.
class Engraver {
  constructor(image) {
    const times = Math.max(1, Math.floor(FINE / Math.max(image.naturalWidth, image.naturalHeight)));
    const shrink = Math.min(1, (1.5 * FINE) / Math.max(image.naturalWidth, image.naturalHeight));
    this.w = Math.round(image.naturalWidth * times * shrink);
    this.h = Math.round(image.naturalHeight * times * shrink);
    const context = new OffscreenCanvas(this.w, this.h).getContext("2d", { willReadFrequently: true });
    context.imageSmoothingEnabled = times === 1;
    context.drawImage(image, 0, 0, this.w, this.h);
    const { data } = context.getImageData(0, 0, this.w, this.h);
    this.light = Float32Array.from({ length: this.w * this.h }, (_, i) => 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]);
  }

  // For each pixel the number of its patch, and how much lighter than the mean of that patch it is.
  relief({ h, w }) {
    if (this.kept?.h === h && this.kept.w === w) return this.kept;
    const count = new Float64Array(h * w), sum = new Float64Array(h * w), most = new Float64Array(h * w);
    const place = new Uint32Array(this.light.length);
    const data = new Float32Array(this.light.length);
    for (let i = 0; i < place.length; i++) {
      const y = Math.floor(i / this.w), x = i % this.w;
      place[i] = Math.floor((y * h) / this.h) * w + Math.floor((x * w) / this.w);
      count[place[i]]++;
      sum[place[i]] += this.light[i];
    }
    for (let i = 0; i < place.length; i++) {
      data[i] = (this.light[i] - sum[place[i]] / count[place[i]]) / 128;
      most[place[i]] = Math.max(most[place[i]], Math.abs(data[i]));
    }
    for (let i = 0; i < place.length; i++) data[i] /= Math.max(1, most[place[i]]);
    this.kept = { h, w, place, data };
    return this.kept;
  }

  draw(map, fine, top, colours, depth) {
    const { place, data } = this.relief(map);
    const canvas = element("canvas", { width: this.w, height: this.h });
    const context = canvas.getContext("2d");
    const picture = context.createImageData(this.w, this.h);
    for (let i = 0; i < place.length; i++) {
      const value = fine ? fine[i] : map.data[place[i]];
      const colour = 3 * Math.round(Math.min(Math.max(value / top, 0), 1) * 255);
      for (let c = 0; c < 3; c++) picture.data[4 * i + c] = Math.round(colours[colour + c] + depth * data[i]);
      picture.data[4 * i + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
    return canvas;
  }
}

function drawGrid(context, { x, y, width, height }, map) {
  context.strokeStyle = "rgb(255 255 255 / 0.35)";
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 1; i < map.w; i++) {
    const at = Math.round(x + (i * width) / map.w) + 0.5;
    context.moveTo(at, y);
    context.lineTo(at, y + height);
  }
  for (let i = 1; i < map.h; i++) {
    const at = Math.round(y + (i * height) / map.h) + 0.5;
    context.moveTo(x, at);
    context.lineTo(x + width, at);
  }
  context.stroke();
}

// A locked patch has a heavy frame, one only pointed at a light one.
function drawPatch(context, { x, y, width, height }, map, { cell: [row, column], locked }, weight) {
  const frame = [x + (column * width) / map.w, y + (row * height) / map.h, width / map.w, height / map.h];
  const lines = locked ? [[5, "rgb(0 0 0 / 0.8)"], [2.5, "#fff"]] : [[2.5, "rgb(0 0 0 / 0.5)"], [1, "#fff"]];
  for (const [thick, colour] of lines) {
    context.lineWidth = thick * weight;
    context.strokeStyle = colour;
    context.strokeRect(...frame);
  }
}

// One panel: the image alone, or a map with its grid, and the outlines of patches, inside `box`.
function drawPanel(context, box, { image, engraver, map, top, colours, state, patches, weight }) {
  const { x, y, width, height } = box;
  context.fillStyle = "#000";
  context.fillRect(x, y, width, height);
  if (!map) {
    context.imageSmoothingEnabled = image.naturalWidth > width;
    context.drawImage(image, x, y, width, height);
  } else if (engraver) {
    const fine = state.smooth ? resized(map, engraver.h, engraver.w) : null;
    context.imageSmoothingEnabled = false;
    context.drawImage(engraver.draw(map, fine, top, colours, DEPTH * state.relief), x, y, width, height);
  } else {
    const fine = { h: 8 * map.h, w: 8 * map.w };
    const shown = state.smooth ? { ...fine, data: resized(map, fine.h, fine.w) } : map;
    context.imageSmoothingEnabled = state.smooth;
    context.drawImage(painted(shown, top, colours), x, y, width, height);
  }
  if (state.grid) drawGrid(context, box, patches.grid);
  for (const patch of patches.framed) drawPatch(context, box, patches.grid, patch, weight);
}

function drawCourse(canvas, values, at, colour) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
  [canvas.width, canvas.height] = [width, height];
  if (values.length < 2) return;
  const context = canvas.getContext("2d");
  // A range input's thumb travels between half thumb widths; the course does the same.
  const [edge, top] = [8 * ratio, extent(values)[1] || 1];
  const x = (i) => edge + (i / (values.length - 1)) * (width - 2 * edge);
  const y = (value) => height - 1 - (value / top) * (height - 4);
  context.beginPath();
  context.moveTo(x(0), height);
  values.forEach((value, i) => context.lineTo(x(i), y(value)));
  context.lineTo(x(values.length - 1), height);
  context.fillStyle = colour;
  context.globalAlpha = 0.22;
  context.fill();
  if (at === "all") return;
  context.globalAlpha = 1;
  context.beginPath();
  context.arc(x(at), y(values[at]), 2.5 * ratio, 0, 7);
  context.fill();
}

// ---------------------------------------------------------------- the view

class Viewer {
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.maps = new Maps(data);
    this.colours = bytes(data.colours);
    this.part = {};
    root.innerHTML = SKELETON; // a constant: nothing from the trace is in it
    for (const found of root.querySelectorAll("[data-part]")) this.part[found.dataset.part] = found;
    this.hover = { word: null, patch: null };
    this.state = {
      words: [], step: "all", layer: data.reading.layer, head: "all", next: data.reading.carriers, scale: data.scale === "shared" ? "shared" : "view",
      show: "beside", relief: 1, smooth: false, grid: false, special: false, patch: null,
    };
    this.state.words = this.firstWords();
    this.restore();
    this.build();
    this.listen();
    this.render();
  }

  // Open on the most concentrated word that means a thing and is not marked, so that there is
  // something to see.
  firstWords() {
    const seen = this.data.words.map((word, i) => [word, i])
      .filter(([word, i]) => word.role === "word" && this.maps.has(i));
    const rank = ([word, i]) => [word.content ? 0 : 1, word.mark ? 1 : 0, -concentration(this.maps.map(i, this.choice).data)];
    const best = seen.map((found) => [rank(found), found[1]]).sort(([a], [b]) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2])[0];
    return best ? [best[1]] : [];
  }

  get choice() {
    const { step, layer, head, next } = this.state;
    return { step, layer, head, next };
  }

  get shown() { return this.hover.word === null ? this.state.words : [this.hover.word]; }

  set(change) {
    Object.assign(this.state, change);
    const { layer } = this.state;
    const heads = typeof layer === "number" ? this.data.layers[layer].heads.length : this.data.heads.length;
    if (this.state.head !== "all" && this.state.head >= heads) this.state.head = heads - 1;
    if (!this.maps.layersOf(this.choice).length) this.state.head = "all";
    this.later();
  }

  later() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = undefined;
      this.render();
    });
  }

  // ------------------------------------------------------------ building

  build() {
    const { part, data } = this;
    part.run.textContent = data.run.map((said) => said.replaceAll(" ", "\u00a0")).join("\u2002· ");
    part.notice.textContent = data.notices.join(" ");
    part.notice.hidden = !data.notices.length;
    for (const mark of ["looks", "proved"]) part[`${mark}-legend`].hidden = !data.words.some((word) => word.mark === mark);
    part["next-label"].hidden = !data.words.some((word) => word.next);
    data.words.forEach((word, i) => this.buildChip(word, i));
    if (data.cut) part.chips.append(element("span", { class: "cut", text: data.cut, title: "The text encoder is full: this text had no effect." }));
    this.buildRanges();
    this.buildNavigator();
    this.buildTable();
    for (const [name, value] of data.recipe) {
      part.recipe.append(element("dt", { text: name }), element("dd", { text: value }));
    }
    if (data.image) {
      this.image = new Image();
      this.image.addEventListener("load", () => this.later());
      this.image.src = data.image.source;
      this.image.alt = "";
    }
  }

  buildChip(word, i) {
    const chip = element("button", { type: "button", class: "chip", "data-word": word.name });
    chip.append(element("span", { text: word.text }));
    if (word.nth > 1) chip.append(element("sup", { text: word.nth }));
    if (word.role !== "word") chip.append(element("small", { text: number(word.mass) }));
    chip.style.setProperty("--mass", word.tint);
    chip.title = word.evidence;
    chip.setAttribute("aria-label", `${word.name}: ${word.evidence}`);
    chip.dataset.mark = word.mark;
    chip.disabled = !this.maps.has(i);
    const group = word.role === "word" ? this.part.chips : this.part.specials;
    group.append(chip, word.role === "word" ? " " : "");
    chip.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.preview(i));
    chip.addEventListener("pointerleave", () => this.preview(null));
    chip.addEventListener("click", (event) => this.choose(i, event.shiftKey));
  }

  preview(word) {
    this.hover.word = word;
    this.later();
  }

  // A click locks one word; with shift it adds a word, or takes it away again.
  choose(word, add) {
    if (!this.maps.has(word)) return;
    const { words } = this.state;
    const rest = words.filter((other) => other !== word);
    this.hover.word = null;
    this.set({ words: !add ? [word] : rest.length < words.length ? rest : [...words, word] });
  }

  buildRanges() {
    const { part, data } = this;
    const ranges = [["step", data.steps.length], ["layer", data.layers.length], ["head", data.heads.length]];
    for (const [axis, count] of ranges) {
      Object.assign(part[axis], { min: 0, max: count - 1, step: 1, disabled: count < 2 });
      part[axis].closest(".row").classList.toggle("fixed", count < 2);
      part[axis].addEventListener("input", () => this.set({ [axis]: Number(part[axis].value) }));
    }
    part.play.hidden = data.steps.length < 2;
    part.places.append(element("button", { type: "button", "data-choice": "all", text: "All" }));
    for (const { name, label, title } of data.groups) {
      part.places.append(element("button", { type: "button", "data-choice": name, text: label, title }));
    }
    for (const button of this.root.querySelectorAll("[data-choice]")) {
      const { axis } = button.closest(".row").dataset;
      button.addEventListener("click", () => this.set({ [axis]: button.dataset.choice }));
    }
  }

  buildNavigator() {
    const { part, data } = this;
    const heads = data.heads.length > 1 ? data.heads.map((_, i) => i) : [];
    const layers = ["all", ...(data.layers.length > 1 ? data.layers.map((_, i) => i) : [])];
    part.navigator.style.setProperty("--columns", heads.length + 1);
    part.navigator.append(element("span"), element("span", { class: "head", text: heads.length ? "all heads" : "heads averaged" }));
    for (const head of heads) part.navigator.append(element("span", { class: "head", text: `head ${data.heads[head]}` }));
    this.thumbs = [];
    for (const layer of layers) {
      const info = layer === "all" ? null : data.layers[layer];
      const label = element("span", { class: "layer", text: info ? info.label : "all layers", title: info ? info.name : "" });
      part.navigator.append(label);
      for (const head of ["all", ...heads]) this.buildThumb(layer, head, info);
    }
  }

  buildThumb(layer, head, info) {
    const name = `${info ? info.name : "all layers"}, ${head === "all" ? "all heads" : "head " + this.data.heads[head]}`;
    const button = element("button", { type: "button", class: "thumb", "aria-label": name, title: name, "data-layer": layer, "data-head": head });
    button.append(element("canvas"));
    button.style.aspectRatio = this.aspect;
    button.disabled = !this.maps.layersOf({ layer, head }).length;
    button.addEventListener("click", () => this.set({ layer, head }));
    this.part.navigator.append(button);
    this.thumbs.push({ button, layer, head });
  }

  get aspect() {
    const [h, w] = this.data.image ? this.data.image.size : this.maps.gridOf({ layer: "all", head: "all" });
    return w / h;
  }

  buildTable() {
    const { table } = this.data;
    const [head, body] = this.part.table.children;
    const columns = table.columns.map((column, i) => ({ ...column, i })).filter((column) => !column.hidden);
    head.append(element("tr", {}, ...columns.map(({ label, title, numeric }) =>
      element("th", { text: label, title, scope: "col", class: numeric ? "num" : "" }))));
    const texts = columns.map(({ i, numeric }) => numeric ? column(table.rows.filter(({ special }) => !special).map(({ values }) => values[i]))
      : (value) => (value === null ? "" : String(value)));
    for (const row of table.rows) {
      const cells = columns.map(({ i, numeric, bar }, at) => this.cell(texts[at](row.values[i]), numeric, bar ? row.tint : null));
      const line = element("tr", { "data-row": row.name, "data-mark": row.mark }, ...cells);
      line.classList.toggle("special", row.special);
      line.addEventListener("click", (event) => row.word !== null && this.choose(row.word, event.shiftKey));
      body.append(line);
    }
    this.part["table-note"].textContent = table.note;
  }

  cell(text, numeric, tint) {
    const cell = element("td", { class: numeric ? "num" : "", text });
    if (tint !== null) {
      const bar = element("i");
      bar.style.setProperty("--mass", tint);
      cell.append(element("span", { class: "massbar" }, bar));
    }
    return cell;
  }

  drawRamp() {
    const map = { h: 1, w: 256, data: Float32Array.from({ length: 256 }, (_, i) => i / 255) };
    this.part.ramp.getContext("2d").drawImage(painted(map, 1, this.shades), 0, 0);
  }

  get engraved() { return this.state.show === "overlay" && this.loaded !== null; }

  get loaded() { return this.image?.complete && this.image.naturalWidth ? this.image : null; }

  // The colours of the map as it is drawn, and as the colour bar must show them.
  get shades() {
    const depth = this.engraved ? Math.round(DEPTH * this.state.relief) : 0;
    if (this.muted?.depth !== depth) this.muted = { depth, colours: muted(this.colours, depth) };
    return this.muted.colours;
  }

  // ------------------------------------------------------------ events

  listen() {
    const { part } = this;
    for (const name of ["scale", "show"]) {
      for (const button of part[name].children) {
        button.addEventListener("click", () => this.set({ [name]: button.dataset.value }));
      }
    }
    for (const name of ["grid", "smooth"]) {
      part[name].addEventListener("change", () => this.set({ [name]: part[name].checked }));
    }
    part.next.addEventListener("change", () => this.set({ next: part.next.checked }));
    part["show-special"].addEventListener("change", () => this.showSpecial(part["show-special"].checked));
    part.relief.addEventListener("input", () => this.set({ relief: part.relief.value / 100 }));
    part.play.addEventListener("click", () => this.play());
    part.copy.addEventListener("click", () => this.copy());
    part.png.addEventListener("click", () => this.savePng());
    part.csv.addEventListener("click", () => this.saveCsv());
    this.listenToStage();
    document.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.later()).observe(part.stage);
  }

  showSpecial(special) {
    const words = special ? this.state.words : this.state.words.filter((i) => this.data.words[i].role === "word");
    this.set({ special, words });
  }

  listenToStage() {
    const { stage } = this.part;
    stage.addEventListener("pointermove", (event) => this.point(event));
    stage.addEventListener("pointerleave", () => this.point(null));
    // A mouse click must not take the focus, or the arrow keys would change their meaning.
    stage.addEventListener("pointerdown", (event) => event.preventDefault());
    stage.addEventListener("mousedown", (event) => event.preventDefault());
    stage.addEventListener("click", (event) => this.lock(this.patchAt(event), event.shiftKey));
    stage.addEventListener("keydown", (event) => this.stageKey(event));
  }

  // A patch is kept as the share of the image at its centre, so that it survives a change of grid.
  patchAt(event) {
    const canvas = event.target.closest("canvas");
    if (!canvas) return null;
    const box = canvas.getBoundingClientRect();
    const inside = (share) => Math.min(Math.max(share, 0), 0.999999);
    return [inside((event.clientY - box.top) / box.height), inside((event.clientX - box.left) / box.width)];
  }

  cellOf([v, u]) {
    const [h, w] = this.maps.gridOf(this.choice);
    return [Math.floor(v * h), Math.floor(u * w)];
  }

  point(event) {
    this.hover.patch = event && this.patchAt(event);
    this.later();
  }

  lock(patch) {
    if (!patch) return;
    const same = this.state.patch && String(this.cellOf(patch)) === String(this.cellOf(this.state.patch));
    this.set({ patch: same ? null : patch });
  }

  stageKey(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const grid = this.maps.gridOf(this.choice);
    const cell = this.state.patch ? this.cellOf(this.state.patch) : grid.map((size) => Math.floor(size / 2));
    this.set({ patch: cell.map((at, i) => (Math.min(Math.max(at + move[i], 0), grid[i] - 1) + 0.5) / grid[i]) });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLInputElement && event.target.type === "range" && event.key.startsWith("Arrow")) return;
    const act = {
      ArrowUp: () => this.move("layer", -1), ArrowDown: () => this.move("layer", 1),
      ArrowLeft: () => this.move("head", -1), ArrowRight: () => this.move("head", 1),
      "[": () => this.move("step", -1), "]": () => this.move("step", 1),
      g: () => this.set({ grid: !this.state.grid }), Escape: () => this.clear(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // "all" stands before the first index.
  move(axis, by) {
    const count = { step: this.data.steps, layer: this.data.layers, head: this.data.heads }[axis].length;
    if (count < 2) return;
    const now = this.state[axis];
    const at = typeof now === "number" ? now : now === "all" ? -1 : this.maps.layersOf({ layer: now, head: "all" })[0] - 1;
    const next = Math.min(Math.max(at + by, -1), count - 1);
    this.set({ [axis]: next < 0 ? "all" : next });
  }

  clear() {
    this.stop();
    this.hover = { word: null, patch: null };
    this.set({ words: [], patch: null });
  }

  play() {
    if (this.timer) return this.stop();
    const next = () => this.set({ step: this.state.step === "all" ? 0 : (this.state.step + 1) % this.maps.steps });
    next();
    this.timer = setInterval(next, 160);
    return this.later();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.later();
  }

  // ------------------------------------------------------------ the permalink

  restore() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const names = this.data.words.map((word) => word.name);
    const words = asked.getAll("word").map((name) => names.indexOf(name)).filter((i) => this.maps.has(i));
    if (words.length) this.state.words = words;
    const index = (axis, list) => {
      const at = list.indexOf(asked.get(axis));
      if (at >= 0) this.state[axis] = at;
    };
    index("step", this.data.steps.map(({ label }) => label));
    index("layer", this.data.layers.map(({ name }) => name));
    index("head", this.data.heads.map(String));
    const group = asked.get("layer");
    if (group === "all" || this.data.groups.some(({ name }) => name === group)) this.state.layer = group;
    if (asked.has("next")) this.state.next = asked.get("next") === "1";
  }

  remember() {
    const asked = new URLSearchParams();
    const { words, step, layer, head, next } = this.state;
    const { reading } = this.data;
    for (const i of words) asked.append("word", this.data.words[i].name);
    if (step !== "all") asked.set("step", this.data.steps[step].label);
    if (layer !== reading.layer) asked.set("layer", this.data.layers[layer]?.name ?? layer);
    if (head !== "all") asked.set("head", this.data.heads[head]);
    if (next !== reading.carriers) asked.set("next", next ? "1" : "0");
    if (location.hash.slice(1) !== asked.toString()) history.replaceState(null, "", `#${asked}`);
  }

  // ------------------------------------------------------------ rendering

  render() {
    this.top = this.topOf(this.shown.map((word) => this.maps.map(word, this.choice)));
    this.renderChips();
    this.renderControls();
    this.renderStage();
    this.renderScale();
    this.renderCaption();
    this.renderRanks();
    this.renderNavigator();
    this.part.python.textContent = this.python();
    if (!this.timer) this.remember();
  }

  // Every scale begins at 0: what is dark is little, whatever else is on screen.
  topOf(maps, choice = this.choice) {
    if (this.state.scale === "view") return maps.length ? Math.max(...maps.map((map) => scaleOf(map).top)) : 1;
    return this.maps.top(choice, this.scaled);
  }

  // The words that the scale is made for. Small words often take many times what a subject takes:
  // on one scale for all of them a subject's map would be dark.
  get scaled() {
    if (this.state.scale === "word" && this.shown.length) return this.shown;
    return [...this.maps.column.keys()].filter((i) => this.anySpecial || this.data.words[i].role === "word");
  }

  get anySpecial() { return this.shown.some((i) => this.data.words[i].role !== "word"); }

  renderChips() {
    const { part, state, data } = this;
    part.specials.hidden = !state.special;
    part["show-special"].checked = state.special;
    part.next.checked = state.next;
    const names = new Set(state.words.map((i) => data.words[i].name));
    for (const chip of this.root.querySelectorAll(".chip")) {
      chip.setAttribute("aria-pressed", names.has(chip.dataset.word));
    }
    for (const row of part.table.tBodies[0].rows) {
      row.hidden = row.classList.contains("special") && !state.special;
      row.classList.toggle("chosen", names.has(row.dataset.row));
    }
  }

  renderControls() {
    const { part, state } = this;
    for (const axis of ["step", "layer", "head"]) {
      const now = state[axis];
      const input = part[axis];
      input.value = typeof now === "number" ? now : 0;
      input.classList.toggle("idle", typeof now !== "number");
      const text = this.axisText(axis);
      part[`${axis}-out`].textContent = text;
      part[`${axis}-out`].title = this.axisTitle(axis);
      input.setAttribute("aria-valuetext", text);
      for (const button of input.closest(".row").querySelectorAll("[data-choice]")) {
        button.setAttribute("aria-pressed", button.dataset.choice === String(now));
      }
    }
    for (const name of ["scale", "show"]) {
      for (const button of part[name].children) button.setAttribute("aria-pressed", button.dataset.value === state[name]);
    }
    part.grid.checked = state.grid;
    part.smooth.checked = state.smooth;
    part.relief.value = Math.round(state.relief * 100);
    part["relief-label"].hidden = state.show !== "overlay";
    part.play.textContent = this.timer ? "❚❚" : "▶";
    part.play.setAttribute("aria-label", this.timer ? "Pause" : "Play the steps");
    this.renderCourse();
  }

  renderCourse() {
    const word = this.shown[0];
    const { layer, head, step, next } = this.state;
    const values = word === undefined ? [] : this.data.steps.map((_, i) =>
      mean(this.maps.map(word, { step: i, layer, head, next }).data));
    drawCourse(this.part.course, values, step, getComputedStyle(this.root).color);
    this.part.course.title = "Mean attention to the chosen word at each step";
  }

  axisText(axis) {
    const { state, data } = this;
    const now = state[axis];
    if (axis === "step") {
      if (now === "all") return data.averaged.includes("step") ? "averaged while running" : `mean of ${data.steps.length}`;
      return data.steps[now].text;
    }
    if (axis === "layer") {
      const count = this.maps.layersOf(this.choice).length;
      return typeof now === "number" ? data.layers[now].label : data.averaged.includes("layer") ? "averaged while running" : `mean of ${count}`;
    }
    if (now !== "all") return `head ${data.heads[now]}`;
    return data.averaged.includes("head") ? "averaged while running" : `mean of ${data.heads.length}`;
  }

  axisTitle(axis) {
    const now = this.state[axis];
    return axis === "layer" && typeof now === "number" ? this.data.layers[now].name : "";
  }

  // What stands on the stage: the image, if it is to be seen, and a map for each word.
  panels() {
    const words = this.state.show === "image" ? [] : this.shown;
    const image = this.data.image && (this.state.show === "beside" || !words.length);
    return [...(image || !words.length ? [null] : []), ...words];
  }

  renderStage() {
    const { stage } = this.part;
    const panels = this.panels();
    const columns = panels.length === 1 ? 1 : panels.length <= 4 ? 2 : 3;
    stage.style.setProperty("--columns", columns);
    while (stage.children.length > panels.length) stage.lastChild.remove();
    while (stage.children.length < panels.length) {
      stage.append(element("figure", {}, element("canvas"), element("figcaption")));
    }
    stage.classList.toggle("many", panels.length > 1);
    panels.forEach((word, i) => this.renderPanel(stage.children[i], word));
  }

  // The image beside maps is marked as such; alone, it is the panel of no word, or of the one chosen.
  renderPanel(figure, word) {
    const [canvas, caption] = figure.children;
    const beside = word === null && this.panels().length > 1;
    const name = word === null ? (beside ? "image" : this.shown.map((i) => this.data.words[i].name).join(", ")) : this.data.words[word].name;
    figure.toggleAttribute("data-plain", beside);
    if (beside) delete figure.dataset.panel;
    else figure.dataset.panel = name;
    caption.textContent = name;
    canvas.style.aspectRatio = this.aspect;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(width / this.aspect);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    this.drawWord(canvas.getContext("2d"), { x: 0, y: 0, width, height }, word, ratio);
  }

  frames() {
    return [[this.hover.patch, false], [this.state.patch, true]].filter(([patch]) => patch)
      .map(([patch, locked]) => ({ cell: this.cellOf(patch), locked }));
  }

  drawWord(context, box, word, weight) {
    const [h, w] = this.maps.gridOf(this.choice);
    const patches = { grid: { h, w }, framed: this.frames(word) };
    const image = this.loaded;
    const blank = { h, w, data: new Float32Array(h * w) };
    const map = word !== null ? this.maps.map(word, this.choice) : image ? null : blank;
    const engraver = map && this.engraved ? (this.engraver ??= new Engraver(image)) : null;
    drawPanel(context, box, { image, engraver, map, top: this.top, colours: this.shades, state: this.state, patches, weight });
  }

  renderScale() {
    const { part, data } = this;
    this.drawRamp();
    part["scale-min"].textContent = "0";
    part["scale-max"].textContent = number(this.top);
    const share = this.evenTokens / data.tokens / this.top;
    part.uniform.hidden = !this.shown.length || !(share > 0 && share < 1);
    part.uniform.style.left = `${100 * share}%`;
    part.uniform.title = this.uniformText();
  }

  // How many tokens the first map is the sum of.
  get evenTokens() {
    const word = this.data.words[this.shown[0]];
    return word ? word.tokens + (this.state.next && word.next ? word.next.tokens : 0) : 0;
  }

  // What every map would be if attention took no notice of the tokens.
  uniformText() {
    const { data, evenTokens: count } = this;
    return `mark: even attention to all tokens, ${count} of ${data.tokens} = ${number(count / data.tokens)}`;
  }

  renderCaption() {
    const list = this.part.caption;
    list.replaceChildren();
    for (const [name, value] of this.captionRows()) {
      list.append(element("dt", { text: name }), element("dd", { text: value, "data-caption": name.toLowerCase() }));
    }
  }

  captionRows() {
    const { data, state } = this;
    const rows = [["Word", this.wordText()], ["Step", this.stepText()], ["Layer", this.layerText()], ["Head", this.headText()],
      ["Grid", this.gridCaption()], ["Method", this.methodText()], ["Scale", this.scaleText()], ...this.sinkRows(), ["Model", data.model], ["Prompt", data.prompt]];
    if (data.cut) rows.push(["Cut", `${data.cut} (the text encoder is full: no effect)`]);
    rows.push(["Run", data.run.slice(1).join(" · ")], ["Parity", data.parity]);
    return state.words.length || this.hover.word !== null ? rows : [["Word", "none chosen"], ...rows.slice(1)];
  }

  wordText() {
    return this.shown.map((i) => {
      const { name, pieces, next } = this.data.words[i];
      const own = pieces.length > 1 ? `${name} (${pieces.join(" + ")})` : name;
      return this.state.next && next ? `${own} and the next token, ${next.text}` : own;
    }).join("; ");
  }

  stepText() {
    const { step } = this.state;
    const { steps, averaged } = this.data;
    if (step !== "all") return `${steps[step].text} (of ${steps[0].label} to ${steps.at(-1).label})`;
    return averaged.includes("step") ? "all steps, averaged while running" : `mean of ${plural(steps.length, "step")}`;
  }

  layerText() {
    const { layer } = this.state;
    if (typeof layer === "number") return this.data.layers[layer].name;
    const chosen = this.maps.layersOf(this.choice).map((i) => this.data.layers[i]);
    const grids = [...new Set(chosen.map(({ grid }) => gridText(grid)))].join(", ");
    const group = this.data.groups.find(({ name }) => name === layer);
    return `mean of ${plural(chosen.length, group ? `${group.name} layer` : "layer")} (${grids})`;
  }

  headText() {
    const { head } = this.state;
    if (head !== "all") return `head ${this.data.heads[head]}`;
    if (this.data.averaged.includes("head")) return "all heads, averaged while running";
    return `mean of ${plural(this.data.heads.length, "head")}`;
  }

  gridCaption() {
    const grid = this.maps.gridOf(this.choice);
    const mixed = this.maps.layersOf(this.choice).some((i) => gridText(this.data.layers[i].grid) !== gridText(grid));
    const drawn = this.state.smooth ? "smoothed for display (interpolated)" : "nearest patches";
    return `${gridText(grid)} tokens, ${drawn}${mixed ? "; coarser layers enlarged bilinearly" : ""}`;
  }

  methodText() {
    const kinds = [...new Set(this.maps.layersOf(this.choice).map((i) => this.data.layers[i].kind))].join(" and ");
    const next = this.state.next ? " and the next" : "";
    return `${kinds}-attention weights after the softmax, summed over a word's tokens${next}, plain mean`;
  }

  scaleText() {
    const { state } = this;
    const ends = `0 to ${number(this.top)}`;
    const mark = this.part.uniform.hidden ? "" : `; ${this.uniformText()}`;
    if (state.scale === "view") return `${ends}, ${this.topText()}, of this view only: not comparable with others${mark}`;
    const open = ["step", "layer", "head"].filter((axis) => state[axis] !== "all").map((axis) => `${axis}s`);
    if (state.scale === "word" && this.shown.length) {
      const names = this.shown.map((i) => `“${this.data.words[i].name}”`).join(" and ");
      return `${ends}, the scale of ${names}${open.length ? ` over all ${open.join(", ")}` : ""}${mark}`;
    }
    return `${ends}, shared by all ${[this.many, ...open].join(", ")}${mark}`;
  }

  // What the end of the scale of this view is.
  topText() {
    const found = this.shown.map((word) => scaleOf(this.maps.map(word, this.choice))).find(({ top }) => top === this.top);
    return found?.above ? `the 98th percentile, ${plural(found.above, "patch", "patches")} above it` : "the greatest value";
  }

  // Patches that take more than twice the 98th percentile of their map.
  sinkRows() {
    const found = this.shown.map((word) => [this.data.words[word].name, scaleOf(this.maps.map(word, this.choice)).sinks]).filter(([, sinks]) => sinks.length);
    return found.length ? [["Sinks", found.map(([name, sinks]) => `${found.length > 1 ? `${name}: ` : ""}${sinksText(sinks)}`).join("; ")]] : [];
  }

  get many() { return this.anySpecial ? "words and special tokens" : "words"; }

  renderRanks() {
    const { part, data } = this;
    const patch = this.hover.patch ?? this.state.patch;
    const cell = patch && this.cellOf(patch);
    const [h, w] = this.maps.gridOf(this.choice);
    // Shares of a patch's attention: every token counts once, whatever the maps are read with.
    const shares = { ...this.choice, next: false };
    const entries = [...this.maps.column.keys()].map((word) => {
      const map = this.maps.map(word, shares);
      return { word, value: cell ? map.data[cell[0] * map.w + cell[1]] : mean(map.data) };
    });
    part["patch-title"].textContent = cell
      ? "This patch attends to" : "The average patch attends to";
    part.ranks.replaceChildren(...this.rankRows(entries));
    const others = entries.filter(({ word }) => data.words[word].role !== "word").reduce((sum, { value }) => sum + value, 0);
    const place = cell ? `Patch y ${cell[0]}, x ${cell[1]} of ${h}×${w}${this.hover.patch ? "" : ", locked"}.` : `Mean over ${h}×${w} patches; point at one, click to lock.`;
    part["patch-note"].textContent = `${place}${others ? ` Special tokens take ${number(others)}.` : ""}`;
  }

  rankRows(entries) {
    const listed = entries.filter(({ word }) => this.state.special || this.data.words[word].role === "word")
      .sort((a, b) => b.value - a.value);
    const top = listed.length ? listed[0].value : 1;
    const text = column(listed.map(({ value }) => value));
    return listed.map(({ word, value }) => {
      const { name } = this.data.words[word];
      const bar = element("i");
      bar.style.width = `${(100 * value) / (top || 1)}%`;
      const row = element("li", { "data-rank": name, "data-value": value },
        element("span", { text: name, class: "name" }), element("span", { class: "bar" }, bar), element("span", { class: "num", text: text(value) }));
      row.classList.toggle("chosen", this.shown.includes(word));
      row.addEventListener("click", (event) => this.choose(word, event.shiftKey));
      return row;
    });
  }

  renderNavigator() {
    const { part, data, state } = this;
    const word = this.shown[0];
    const title = word === undefined ? "Layers and heads" : `Layers and heads for “${data.words[word].name}”`;
    part["navigator-title"].textContent = title;
    for (const { button, layer, head } of this.thumbs) {
      button.setAttribute("aria-pressed", layer === state.layer && head === state.head);
    }
    const key = [word, state.step, state.scale, state.next, ...this.scaled].join();
    if (this.navigated === key) return;
    this.navigated = key;
    this.drawThumbs(word);
  }

  // A thumbnail has a scale of its own and its top printed on it, or all are one figure on one scale.
  drawThumbs(word) {
    const { step, scale, next } = this.state;
    const open = this.thumbs.filter(({ button }) => !button.disabled);
    const single = { step, layer: this.data.layers.length > 1 ? 0 : "all", head: this.data.heads.length > 1 ? 0 : "all", next };
    const maps = word === undefined ? [] : open.map(({ layer, head }) => this.maps.map(word, { step, layer, head, next }));
    const shared = maps.length && scale !== "view" ? this.topOf(maps, single) : null;
    open.forEach(({ button }, i) => {
      const top = maps[i] && (shared ?? scaleOf(maps[i]).top);
      button.classList.toggle("empty", !maps[i]);
      button.replaceChildren(...(maps[i] ? [painted(maps[i], top, this.colours)] : []), ...(maps[i] && shared === null ? [element("i", { text: number(top) })] : []));
    });
    const whose = { word: "shared by all layers and heads", shared: `shared by all ${this.many}, layers and heads` }[scale];
    this.part["navigator-note"].textContent = word === undefined ? `Choose one of the ${this.many}.`
      : shared === null ? "Each thumbnail has a scale of its own, from 0 to the value printed on it."
      : `One scale for all thumbnails: 0 to ${number(shared)}, ${whose}.`;
  }

  // ------------------------------------------------------------ taking it away

  python() {
    const lines = ["import regard", "", `trace = regard.Trace.load(${JSON.stringify(this.data.saved)})`];
    const { step, layer, head } = this.state;
    const { data } = this;
    const given = [];
    if (step !== "all") given.push(`steps=${data.steps[step].python}`);
    const group = data.groups.find(({ name }) => name === layer);
    if (layer !== "all") given.push(`layers=${group ? group.python : JSON.stringify(data.layers[layer].name)}`);
    if (head !== "all") given.push(`heads=${data.heads[head]}`);
    for (const word of this.shown) {
      lines.push(this.call(data.words[word], given));
    }
    return lines.join("\n");
  }

  call(word, given) {
    const read = this.state.next && word.next ? ["carriers=True"] : [];
    return `trace.heatmap(${[JSON.stringify(word.name), ...read, ...given].join(", ")})`;
  }

  say(text) { this.part.status.textContent = text; }

  async copy() {
    const text = this.python();
    try {
      await navigator.clipboard.writeText(text);
      this.say("Copied.");
    } catch {
      getSelection().selectAllChildren(this.part.python);
      this.say("Selected: press Ctrl+C to copy.");
    }
  }

  save(blob, name) {
    const link = element("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    this.say(`Saved ${name}.`);
  }

  fileName(ending) {
    const words = this.state.words.map((i) => this.data.words[i].name.replace(/[^\p{L}\p{N}]+/gu, "-"));
    return `${words.join("-") || "image"}.${ending}`;
  }

  get tableFile() { return "words.csv"; }

  saveCsv() {
    const { columns, rows } = this.data.table;
    const lines = [columns.map(({ name }) => name), ...rows.map(({ values }) => values)];
    const text = lines.map((line) => line.map(csvCell).join(",") + "\r\n").join("");
    this.save(new Blob([text], { type: "text/csv" }), this.tableFile);
  }

  savePng() {
    const words = this.panels();
    const columns = Math.min(words.length, 3);
    const [pad, size] = [32, words.length === 1 ? 768 : 512];
    const high = Math.round(size / this.aspect);
    const rows = Math.ceil(words.length / columns);
    const width = pad + columns * (size + pad);
    const lines = this.captionLines(width - 2 * pad);
    const below = pad + rows * (high + pad + 24);
    const canvas = element("canvas", { width, height: below + 70 + 20 * lines.length + pad });
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    words.forEach((word, i) => {
      const box = { x: pad + (i % columns) * (size + pad), y: pad + Math.floor(i / columns) * (high + pad + 24), width: size, height: high };
      this.drawWord(context, box, word, 2);
      this.write(context, word === null ? (words.length > 1 ? "image" : "") : this.data.words[word].name, box.x, box.y + high + 20, "600 16px");
    });
    this.drawExportScale(context, pad, below);
    lines.forEach((line, i) => this.write(context, line, pad, below + 70 + 20 * i));
    canvas.toBlob((blob) => this.save(blob, this.fileName("png")));
  }

  drawExportScale(context, x, y) {
    context.imageSmoothingEnabled = false;
    context.drawImage(this.part.ramp, x, y, 320, 12);
    if (!this.part.uniform.hidden) {
      context.fillStyle = "#222";
      context.fillRect(x + 3.2 * parseFloat(this.part.uniform.style.left) - 1, y - 4, 2, 20);
    }
    this.write(context, "0", x, y + 30);
    this.write(context, number(this.top), x + 320, y + 30, "13px", "right");
    this.write(context, "attention weight", x + 336, y + 11);
  }

  write(context, text, x, y, font = "13px", align = "left") {
    context.font = `${font} system-ui, sans-serif`;
    context.fillStyle = "#222";
    context.textAlign = align;
    context.fillText(text, x, y);
  }

  captionLines(width) {
    const context = element("canvas").getContext("2d");
    context.font = "13px system-ui, sans-serif";
    const lines = [];
    for (const [name, value] of this.captionRows()) {
      let line = `${name}:`;
      for (const word of value.split(" ")) {
        if (context.measureText(`${line} ${word}`).width > width) {
          lines.push(line);
          line = "   ";
        }
        line += ` ${word}`;
      }
      lines.push(line);
    }
    return lines;
  }
}

export function view(root, data) {
  return new Viewer(root, data).state;
}
