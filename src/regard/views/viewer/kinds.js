// The two kinds of pages, and all in which their views differ.
//
// An entry of words is a word of a prompt, and its map is how much each patch attends to it. An entry
// of patches is a token of an image, and its map is how much it attends to each patch. A page of
// `words` has words, and patches where some were kept, beside them. A page of `queries` has patches:
// those before the patches have a chip, a patch is chosen by a click on it.
const KINDS = {
  words: {
    entries: "words",
    chips: "Words of the prompt",
    legend: wordsLegend,
    stage: "Image with the attention map; arrow keys move over its patches, Enter locks one",
    ownScale: ["Word",
      "One scale for all steps, layers and heads of the words shown, at this level of averaging"],
    sharedScale: ["All words",
      "One scale for all words, and for all steps, layers and heads at this level of averaging"],
    steps: true,
    table: "Words",
    save: "Save words as CSV",
    file: "words.csv",
    keys: WORDS_KEYS,
    build: buildWordsLegend,
    first: mostConcentrated,
    cleared: [],
    walks: () => true,
    cell: lockedCell,
    step: lockCell,
    click: lockPatch,
    locked: (view, entry) => (view.maps.of(entry) === "patches" ? pointOf(view, entry) : view.state.patch),
    renderRanks: renderWordRanks,
    caption: captionOfWords,
  },
  queries: {
    entries: "queries",
    chips: "Query tokens",
    legend: ({ patches }) => patches === null ? "<span>click a token to see where it attends</span>"
      : "<span>click a token, or a patch of the image, to see where it attends; shift-click to compare</span>",
    stage: "Image with the attention map; arrow keys choose the query patch",
    ownScale: ["Query",
      "One scale for all layers and heads of the tokens shown, at this level of averaging"],
    sharedScale: ["All queries",
      "One scale for all tokens, and for all layers and heads at this level of averaging"],
    steps: false,
    table: "Prediction",
    save: "Save prediction as CSV",
    file: "predictions.csv",
    keys: QUERIES_KEYS,
    build: () => {},
    first: () => [0],
    cleared: [0],
    walks: ({ data }) => data.patches !== null,
    cell: cellOfQuery,
    step: queryCell,
    click: queryPatch,
    locked: () => null,
    renderRanks: renderQueryShares,
    caption: captionOfQueries,
  },
};

// A page of words opens on the most concentrated word that means a thing and is not marked, so that
// there is something to see.
function mostConcentrated(view) {
  const { data, maps } = view;
  const choice = view.choiceOf("words");
  const words = [...maps.column.keys()].filter((i) => maps.of(i) === "words" && !view.isSpecial(i));
  const rank = (i) => {
    const { content, mark } = data.entries[i];
    return [content ? 0 : 1, mark ? 1 : 0, -concentration(maps.map(i, choice).data)];
  };
  const ranked = words.map((i) => [rank(i), i]);
  const [best] = ranked.sort(([a], [b]) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  return best ? [best[1]] : [];
}
