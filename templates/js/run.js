
// Small things of a run's page: its samples as a slider, boxes of the model that open their tensors,
// commands to copy.
(() => {
  const { make } = overnight;
  let chosen = null; // the sample that the reader went to; none is the newest

  const samplesOf = (root) => [...root.querySelectorAll("#samples > details")].reverse();

  /// Shows one sample, the others are hidden. Also after the page was patched: a slider that was moved
  /// takes no value from an attribute.
  const showSample = (root = document) => {
    const slider = root.querySelector("#sample-at");
    if (!slider) return;
    const samples = samplesOf(root);
    const place = samples.findIndex(({ id }) => id === chosen);
    const at = place < 0 ? samples.length - 1 : place;
    samples.forEach((sample, number) => {
      sample.hidden = number !== at;
      sample.open = number === at;
    });
    const words = samples[at].querySelector("summary").textContent.trim();
    slider.max = samples.length - 1;
    slider.value = at;
    slider.setAttribute("aria-valuetext", words);
    root.querySelector("#sample-told").textContent = `${words} · ${at + 1} of ${samples.length}`;
  };

  const prepareSamples = (root) => {
    const box = root.querySelector("#samples");
    if (!box || box.children.length < 2) return;
    box.classList.add("slid");
    box.prepend(make("div", { class: "tools" },
      make("label", {}, "through training ", make("input", { type: "range", id: "sample-at", min: 0, step: 1 })),
      make("output", { id: "sample-told", for: "sample-at" })));
    showSample(root);
  };

  document.addEventListener("input", ({ target }) => {
    if (target.id !== "sample-at") return;
    const samples = samplesOf(document);
    chosen = Number(target.value) === samples.length - 1 ? null : samples[target.value].id;
    showSample();
  });

  const prepareCopies = (root) => {
    for (const code of root.querySelectorAll("code.copy")) {
      code.after(" ", make("button", { type: "button", class: "copy", "aria-label": `Copy: ${code.textContent}` }, "copy"));
    }
  };

  const copy = async (button) => {
    const text = button.parentNode.querySelector("code.copy").textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without a secure connection there is no clipboard: what is selected is copied by hand.
      return getSelection().selectAllChildren(button.parentNode.querySelector("code.copy"));
    }
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 2000);
  };

  document.addEventListener("click", (event) => {
    if (event.target.matches("button.copy")) copy(event.target);
    const link = event.target.closest('a[href^="#layer-"]');
    if (!link || event.ctrlKey || event.metaKey) return;
    // The address holds how charts are looked at: opened here, it stays as it is.
    event.preventDefault();
    const layer = document.querySelector(link.getAttribute("href")).parentNode;
    layer.open = true;
    layer.firstElementChild.focus({ preventScroll: true });
    layer.scrollIntoView({ block: "nearest" });
  });

  Object.assign(overnight, { prepareSamples, showSample, prepareCopies });
})();
