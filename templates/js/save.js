
// A chart as a file: SVG and PNG for slides, CSV for numbers, TikZ (pgfplots) for papers. Always what is
// seen: the part, the lines and the average that are shown.
(() => {
  const { make, modelNow, split, wordOf } = overnight;

  const escaped = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
    // eslint-disable-next-line no-control-regex
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");

  /// Color and dash of a line as the theme gives them.
  const looks = (figure, name) => {
    const path = make("path", { class: `line ${name}` });
    const plot = figure.querySelector("svg.plot");
    plot.append(path);
    const style = getComputedStyle(path);
    const found = { color: style.stroke, dash: style.strokeDasharray === "none" ? "" : style.strokeDasharray.replace(/px/g, "") };
    path.remove();
    return found;
  };

  const named = (figure) => {
    const text = getComputedStyle(document.documentElement);
    const value = (name) => text.getPropertyValue(name).trim();
    return { paper: value("--paper"), ink: value("--ink"), soft: value("--soft"), grid: value("--grid"), accent: value("--accent"), title: figure.querySelector("figcaption b").textContent };
  };

  const title = (model) => {
    const heading = document.querySelector("h1")?.textContent ?? "";
    const own = model.figure.querySelector("figcaption b").textContent;
    return heading ? `${own} · ${heading}` : own;
  };

  const toSvg = (model) => {
    const [width, height] = [Math.round(model.width), Math.round(model.height)];
    const [left, top] = [64, 40];
    const theme = named(model.figure);
    const legendLines = model.lines.length > 1 ? model.lines.slice(0, 24) : [];
    const below = 48 + Math.ceil(legendLines.length / 3) * 18;
    const at = (x, y) => `${(model.x.fraction(x) * width).toFixed(2)} ${((1 - model.y.fraction(y)) * height).toFixed(2)}`;
    const text = (x, y, words, anchor, color = theme.soft, size = 11) =>
      `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="${size}" fill="${color}">${escaped(words)}</text>`;
    const out = [];
    for (const [place, tick] of model.y.ticks.entries()) {
      const y = ((1 - model.y.fraction(tick)) * height).toFixed(2);
      out.push(`<path d="M0 ${y}H${width}" stroke="${theme.grid}"/>`, text(-8, Number(y) + 4, model.y.words[place], "end"));
    }
    for (const [place, tick] of model.x.ticks.entries()) {
      out.push(text((model.x.fraction(tick) * width).toFixed(2), height + 17, model.x.words[place], "middle"));
    }
    out.push(text(width / 2, height + 36, model.label, "middle"));
    for (const { x, word } of model.events) {
      const part = model.x.fraction(x);
      if (!(part >= 0 && part <= 1)) continue;
      out.push(`<path d="M${(part * width).toFixed(2)} 0V${height}" stroke="${theme.accent}" stroke-dasharray="2 3"/>`, text((part * width + 5).toFixed(2), 11, word, "start"));
    }
    for (const [band, series] of areas(model)) {
      const seen = inside(model, band);
      const edge = (values) => seen.map((place) => at(band.x[place], values[place]));
      if (seen.length) out.push(`<path d="M${[...edge(band.low), ...edge(band.high).reverse()].join("L")}Z" fill="${looks(model.figure, series.class).color}" fill-opacity="0.14"/>`);
    }
    const stroke = (line, series, look) => {
      for (const [from, to] of split(line).stretches) {
        const points = [];
        for (let place = from; place < to; place++) points.push(at(line.x[place], line.y[place]));
        const shape = to - from === 1 ? `M${points[0]}h0.01" stroke-linecap="round` : `M${points.join("L")}`;
        out.push(`<path d="${shape}" fill="none" stroke="${look.color}" stroke-width="${look.width}" stroke-opacity="${look.opacity}" stroke-dasharray="${look.dash}"/>`);
      }
    };
    out.push(`<svg x="0" y="0" width="${width}" height="${height}" overflow="hidden">`);
    for (const line of model.lines) {
      const look = looks(model.figure, line.series.class);
      if (line.faint) stroke(line.faint, line.series, { ...look, width: 1, opacity: 0.28 });
      stroke(line, line.series, { ...look, width: line.series.lead ? 2.4 : 1.6, opacity: 1 });
    }
    out.push("</svg>");
    legendLines.forEach(({ series }, place) => {
      const [x, y] = [(place % 3) * (width / 3), height + 58 + Math.floor(place / 3) * 18];
      const { color, dash } = looks(model.figure, series.class);
      out.push(`<path d="M${x} ${y}h18" stroke="${color}" stroke-width="2.4" stroke-dasharray="${dash}"/>`, text(x + 24, y + 4, series.label, "start", theme.ink));
    });
    const [whole, tall] = [left + width + 24, top + height + below];
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${whole}" height="${tall}" viewBox="0 0 ${whole} ${tall}" font-family="system-ui, sans-serif"><title>${escaped(title(model))}</title><rect width="100%" height="100%" fill="${theme.paper}"/>${text(left, 24, title(model), "start", theme.ink, 13)}<g transform="translate(${left} ${top})">${out.join("")}</g></svg>`;
  };

  /// Twice as fine as the screen.
  const toPng = (model) => new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => {
      const canvas = make("canvas", { width: image.width * 2, height: image.height * 2 });
      const context = canvas.getContext("2d");
      context.scale(2, 2);
      context.drawImage(image, 0, 0);
      canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no picture"))), "image/png");
    };
    image.onerror = failed;
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(toSvg(model))}`;
  });

  /// Each area that is drawn, with the series it belongs to.
  const areas = (model) => model.lines.flatMap(({ bands, series }) => bands.map((band) => [band, series]));
  const inside = (model, line) => [...line.x].flatMap((x, at) => (x >= model.x.low && x <= model.x.high ? [at] : []));
  const spelled = (value) => (Number.isNaN(value) ? "nan" : Number.isFinite(value) ? String(Number(value.toPrecision(9))) : value > 0 ? "inf" : "-inf");
  const cell = (text) => {
    // A name that begins like a formula is text all the same.
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };

  const toCsv = (model) => {
    const rows = [["line", model.label, "value", "average"]];
    for (const line of model.lines) {
      const average = line.values.y !== line.y;
      const values = average ? line.values : line;
      for (const at of inside(model, values)) rows.push([line.series.label, spelled(values.x[at]), spelled(values.y[at]), ""]);
      if (average) for (const at of inside(model, line)) rows.push([line.series.label, spelled(line.x[at]), "", spelled(line.y[at])]);
    }
    return rows.map((row, at) => row.map((text, column) => (at === 0 || column === 0 ? cell(text) : text)).join(",")).join("\n") + "\n";
  };

  const SIGNS = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}" };
  const tex = (text) => text.replace(/[\\~^<>]|[&%$#_{}]/g, (sign) => SIGNS[sign] || `\\${sign}`);

  const toTikz = (model) => {
    const colors = [];
    const color = (text) => {
      const parts = (text.match(/[\d.]+/g) || ["0", "0", "0"]).slice(0, 3).map(Number).map(Math.round).join(",");
      if (!colors.includes(parts)) colors.push(parts);
      return `overnight${colors.indexOf(parts) + 1}`;
    };
    const plot = (line, options, name) => {
      const at = inside(model, line);
      const points = at.map((place) => `(${spelled(line.x[place])},${spelled(line.y[place])})`);
      return `\\addplot[${options}] coordinates {${points.join(" ")}};${name ? `\n\\addlegendentry{${tex(name)}}` : ""}`;
    };
    const area = ([band, series]) => {
      const seen = inside(model, band);
      const edge = (values) => seen.map((at) => `(${spelled(band.x[at])},${spelled(values[at])})`);
      const ring = [...edge(band.low), ...edge(band.high).reverse()].join(" ");
      return `\\addplot[draw=none, fill=${color(looks(model.figure, series.class).color)}, fill opacity=0.14, forget plot] coordinates {${ring}} -- cycle;`;
    };
    const shaded = areas(model).filter(([band]) => inside(model, band).length).map(area);
    const plots = model.lines.flatMap((line) => {
      const look = looks(model.figure, line.series.class);
      const dash = look.dash ? `, dash pattern=${look.dash.split(/[ ,]+/).map((length, at) => `${at % 2 ? "off" : "on"} ${length}pt`).join(" ")}` : "";
      const base = `${color(look.color)}${dash}`;
      return [
        ...(line.faint ? [plot(line.faint, `${base}, opacity=0.28, forget plot`)] : []),
        plot(line, `${base}, ${line.series.lead ? "very thick" : "thick"}`, model.lines.length > 1 ? line.series.label : ""),
      ];
    });
    const range = (axis, name) => `${name}min=${spelled(axis.low)}, ${name}max=${spelled(axis.high)}${axis.isLog ? `, ${name}mode=log` : ""}`;
    return [
      "% needs \\usepackage{pgfplots}",
      ...colors.map((parts, at) => `\\definecolor{overnight${at + 1}}{RGB}{${parts}}`),
      "\\begin{tikzpicture}",
      `\\begin{axis}[width=\\linewidth, height=0.5\\linewidth, title={${tex(title(model))}}, xlabel={${tex(model.label)}}, ylabel={${tex(model.chart.y.label)}},`,
      `  ${range(model.x, "x")}, ${range(model.y, "y")}, unbounded coords=jump, no markers, ymajorgrids, scaled ticks=false, legend style={draw=none}]`,
      ...shaded,
      ...plots,
      "\\end{axis}",
      "\\end{tikzpicture}",
      "",
    ].join("\n");
  };

  const offer = (name, content, type) => {
    const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    const link = make("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  };

  /// Offers the figure as "svg", "png", "csv" or "tex".
  const save = async (figure, form) => {
    const model = modelNow(figure);
    const heading = (document.querySelector("h1")?.textContent ?? "").replace(/[^\w.-]+/g, "-").slice(0, 60);
    const name = `${figure.id}-${heading}`.replace(/-+$/, "") + `.${form}`;
    if (form === "svg") offer(name, toSvg(model), "image/svg+xml");
    else if (form === "png") offer(name, await toPng(model));
    else if (form === "csv") offer(name, toCsv(model), "text/csv");
    else offer(name, toTikz(model), "application/x-tex");
  };

  Object.assign(overnight, { save, toSvg, toCsv, toTikz, wordOf });
})();
