
// The list of models: narrowed by what the form says, kept in the address.
(() => {
  const form = (root = document) => root.querySelector("#narrow");
  const NAMES = ["text", "task", "metric", "tag", "size", "mark"];
  const words = () => new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  let wanted = {};
  let cut = ""; // what of the address was not taken

  const isShown = (model) => {
    const { task, metric, tags, bytes, marks } = model.dataset;
    const has = (name, holds) => !wanted[name] || holds(wanted[name]);
    return has("task", (word) => word === task) && has("metric", (word) => word === metric)
      && has("tag", (word) => overnight.parsed(tags)?.includes(word)) && has("size", (most) => Number(bytes) <= Number(most))
      && has("mark", (word) => marks.split(" ").includes(word))
      && has("text", (text) => {
        const all = model.textContent.toLowerCase();
        return text.toLowerCase().split(/\s+/).every((part) => all.includes(part));
      });
  };

  const narrow = (root) => {
    const models = [...root.querySelectorAll("#models > details")];
    let shown = 0;
    for (const model of models) {
      model.hidden = !isShown(model);
      shown += !model.hidden;
    }
    form(root).elements.count.textContent = (shown === models.length ? "" : `${shown} of ${models.length}${cut && "."}`) + cut;
    root.querySelector("#none").hidden = shown > 0;
  };

  /// Also for the next page, before it is compared with the one that is shown.
  const prepareModels = (root) => {
    if (!form(root)) return;
    form(root).hidden = false;
    narrow(root);
  };

  const take = () => {
    const said = words();
    wanted = {};
    cut = "";
    for (const name of NAMES) {
      const field = form().elements[name];
      if (!field) continue;
      const [text, more] = overnight.taken(name, said.get(name) || "");
      cut += more;
      field.value = text;
      if (field.value) wanted[name] = field.value;
    }
  };

  const change = () => {
    const said = words();
    wanted = {};
    cut = "";
    for (const name of NAMES) {
      const value = form().elements[name]?.value.trim();
      said.delete(name);
      if (!value) continue;
      wanted[name] = value;
      said.set(name, value);
    }
    overnight.writeWords(said);
    narrow(document);
  };

  if (form()) {
    take();
    document.addEventListener("input", (event) => event.target.form === form() && change());
    document.addEventListener("submit", (event) => event.target === form() && event.preventDefault());
    window.addEventListener("hashchange", () => {
      take();
      narrow(document);
    });
  }

  overnight.onPage(prepareModels);
})();
