// What a viewer consists of: constant text, some of it by kind. Nothing of a trace is in it.

const skeleton = (kind, data) => `<div class="sheet">
<header class="top">
  <span class="brand">regard</span>
  <span class="run" data-part="run"></span>
</header>
<section class="prompt">
  <div class="chips" role="group" aria-label="${kind.chips}" data-part="chips"></div>
  <div class="chips special" role="group" aria-label="Special tokens" data-part="specials" hidden></div>${"patches" in data.sides && data.kind === "words" ? PATCH_CHIPS : ""}
  <p class="legend">${kind.legend(data)}</p>
  <p class="notice" data-part="notice" hidden></p>
</section>
<main>
  <section class="picture" aria-label="Image">
    <div class="stage" data-part="stage" tabindex="0" role="application"
      aria-label="${kind.stage}"></div>
    <div class="scale">
      <span class="num" data-part="scale-min"></span>
      <span class="ramp"><canvas data-part="ramp" width="256" height="1"></canvas><i data-part="uniform"></i></span>
      <span class="num" data-part="scale-max"></span>
      <span class="unit">attention weight</span>
      <span class="seg" role="group" aria-label="Colour scale" data-part="scale">
        <button type="button" data-value="view" title="From 0 to the top of what is on screen; each thumbnail has a scale of its own, and its top is printed on it">This view</button><button type="button" data-value="own" title="${kind.ownScale[1]}">${kind.ownScale[0]}</button><button type="button" data-value="shared" title="${kind.sharedScale[1]}">${kind.sharedScale[0]}</button>
      </span>
    </div>
    <div class="tools">
      <span class="seg" role="group" aria-label="What is shown" data-part="show">
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
      <div class="row" data-axis="step"${kind.steps ? "" : " hidden"}>
        <span class="label">Step</span>
        <span class="seg"><button type="button" data-choice="all">All</button></span>
        <span class="track"><canvas class="course" data-part="course" aria-hidden="true"></canvas><input type="range" data-part="step" aria-label="Denoising step"></span>
        <output data-part="step-out"></output>
        <button type="button" class="play" data-part="play" aria-label="Play the steps">&#9654;</button>
      </div>
      <div class="row" data-axis="layer">
        <span class="label">Layer</span>
        <span class="seg" data-part="groups"></span>
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
<section class="words" data-part="table-section">
  <h2>${kind.table}</h2>
  <div class="scroll"><table data-part="table"><thead></thead><tbody></tbody></table></div>
  <p class="small" data-part="table-note"></p>
</section>
<section class="take">
  <h2>Take it with you</h2>
  <pre data-part="python" tabindex="0" aria-label="Python that reproduces this view"></pre>
  <p class="actions">
    <button type="button" data-part="copy">Copy Python</button>
    <button type="button" data-part="png">Save view as PNG</button>
    <button type="button" data-part="csv">${kind.save}</button>
    <span class="small" role="status" data-part="status"></span>
  </p>
</section>
<section class="recipe">
  <h2>Recipe</h2>
  <dl data-part="recipe"></dl>
  <p class="keys small" data-part="keys" hidden>${kind.keys}</p>
</section>
</div>`;

const PATCH_CHIPS = `
  <div class="chips patches" role="group" aria-label="Patches of the image" data-part="patches" hidden>
    <span class="small">where a patch attends:</span> </div>`;

const wordsLegend = ({ sides, patches }) => `
    <span><i class="tint"></i>tint: share of attention (mass)</span>
    <span data-part="looks-legend"><i class="mark looks"></i>looks redundant</span>
    <span data-part="verified-legend"><i class="mark verified"></i>redundant, verified</span>
    <span>${"patches" in sides ? `click a word, or a ${patches ? "" : "framed "}patch of the image; shift-click to compare` : "click a word, shift-click to compare"}</span>
    <label data-part="next-label" title="A causal text encoder leaves part of a word at the token after it: its map is added to the word's own"><input type="checkbox" data-part="next"> with the next token</label>
    <label><input type="checkbox" data-part="show-special"> special tokens</label>`;

const WORDS_KEYS = `<kbd>&uarr;</kbd> <kbd>&darr;</kbd> layer &ensp; <kbd>&larr;</kbd> <kbd>&rarr;</kbd> head &ensp; <kbd>[</kbd> <kbd>]</kbd> step &ensp; <kbd>g</kbd> grid &ensp; <kbd>Esc</kbd> clear`;
const QUERIES_KEYS = `<kbd>&uarr;</kbd> <kbd>&darr;</kbd> layer &ensp; <kbd>&larr;</kbd> <kbd>&rarr;</kbd> head, or patch where the image has the focus &ensp; <kbd>g</kbd> grid &ensp; <kbd>Esc</kbd> first token`;
