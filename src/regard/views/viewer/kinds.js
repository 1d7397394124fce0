// The two kinds of data, and all in which their views differ.
//
// Of `words` an entry is a word of a prompt, and its map is how much each patch attends to it. Of
// `queries` an entry is a token of an image, and its map is how much it attends to each patch: those
// before the patches have a chip, a patch is chosen by a click on it.
const KINDS = {
  words: {
    entries: "words",
    chips: "Words of the prompt",
    legend: () => WORDS_LEGEND,
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
    frame: lockedCell,
    renderRanks: renderWordRanks,
    caption: captionOfWords,
    method: methodOfWords,
    call: callOfWord,
  },
  queries: {
    entries: "queries",
    chips: "Tokens that look",
    legend: ({ firstPatch }) => firstPatch === null ? "<span>click a token to see where it looks</span>"
      : "<span>click a token, or a patch of the picture, to see where it looks; shift-click to compare</span>",
    stage: "Picture with the attention map; arrow keys choose a patch to look from",
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
    walks: ({ data }) => data.firstPatch !== null,
    cell: cellOfQuery,
    step: queryCell,
    click: queryPatch,
    frame: (view, query) => (query === null ? null : view.data.entries[query].cell),
    renderRanks: renderQueryShares,
    caption: captionOfQueries,
    method: methodOfQueries,
    call: callOfQuery,
  },
};

// A page of words opens on the most concentrated word that means a thing and is not marked, so that
// there is something to see.
function mostConcentrated(view) {
  const { data, maps, choice } = view;
  const words = [...maps.column.keys()].filter((i) => !view.isSpecial(i));
  const rank = (i) => {
    const { content, mark } = data.entries[i];
    return [content ? 0 : 1, mark ? 1 : 0, -concentration(maps.map(i, choice).data)];
  };
  const ranked = words.map((i) => [rank(i), i]);
  const [best] = ranked.sort(([a], [b]) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  return best ? [best[1]] : [];
}
