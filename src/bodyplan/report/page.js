// Draws the charts of a page and follows its reader: legends, the filter of robots, sorting, films.
"use strict";
(() => {
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const text = { font: css("--sans"), fontSize: 12 };
  const axis = {
    labelFont: text.font, titleFont: text.font, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400,
    labelColor: "var(--muted)", titleColor: "var(--muted)", domainColor: "var(--rule)", tickColor: "var(--rule)",
    gridColor: "var(--rule)", tickSize: 4, labelPadding: 5, titlePadding: 8, labelLimit: 140,
  };
  const theme = {
    background: null, aria: false, font: text.font, padding: 0, view: { stroke: null },
    axis, axisX: { grid: false, tickCount: 5, labelFlush: true }, axisY: { domain: false, ticks: false, tickCount: 5 },
    line: { strokeWidth: 1.7, strokeJoin: "round" }, text: { ...text, fill: "var(--ink)" }, rule: { stroke: "var(--muted)" },
    bar: { fill: "var(--data)" }, header: { labelFont: text.font },
  };
  const hiddenRobots = new Set();
  const charts = [];

  // A tooltip of rows; what has no value, like a series that is switched off, is left out.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const numeric = (value) => parseFloat(String(value).replaceAll(",", "").replace("−", "-"));
  const showTip = (legend) => (_handler, event, _item, value) => {
    if (value == null || value === "") { tip.hidden = true; return; }
    const colours = new Map(legend.map((entry) => [entry.name, entry]));
    let rows = typeof value === "object" ? Object.entries(value) : [["", value]];
    rows = rows.filter(([, own]) => own != null && !["", "NaN", "null", "undefined"].includes(String(own)));
    const series = rows.filter(([name]) => colours.has(name)).sort((a, b) => numeric(b[1]) - numeric(a[1]));
    rows = [...rows.filter(([name]) => !colours.has(name)), ...series];
    const table = document.createElement("table");
    for (const [name, own] of rows) {
      const row = table.insertRow();
      const label = row.insertCell();
      if (colours.has(name)) label.append(sample(colours.get(name)));
      label.append(name);
      row.insertCell().textContent = own;
    }
    tip.replaceChildren(table);
    tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = tip;
    const right = event.clientX + 16 + width < root.clientWidth;
    const below = event.clientY + 16 + height < root.clientHeight;
    const left = right ? event.clientX + 16 : Math.max(4, event.clientX - 16 - width);
    tip.style.left = `${scrollX + left}px`;
    tip.style.top = `${scrollY + (below ? event.clientY + 16 : Math.max(4, event.clientY - 16 - height))}px`;
  };
  const sample = ({ colour, dash, sample: path }) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "sample");
    svg.setAttribute("viewBox", "0 0 26 10");
    svg.innerHTML = `<path d="${path}" stroke="${colour}" fill="${colour}" stroke-dasharray="${dash.join(" ")}"/>`;
    return svg;
  };

  // Charts
  class Drawing {
    constructor(figure) {
      this.figure = figure;
      this.plot = figure.querySelector(".plot");
      this.hidden = new Set();
      const { spec, legend } = JSON.parse(figure.querySelector("script").textContent);
      const params = [...(spec.params ?? []), { name: "hidden", value: [] }, { name: "robots", value: [] }];
      const whole = { autosize: { type: "fit-x", contains: "padding", resize: true }, ...spec, params, width: this.width };
      const compiled = vegaLite.compile(whole, { config: theme }).spec;
      this.view = new vega.View(vega.parse(compiled), { renderer: "svg", container: this.plot, hover: true, tooltip: showTip(legend) });
      for (const button of figure.querySelectorAll(".legend button")) {
        button.addEventListener("click", () => this.toggle(button));
      }
      figure.addEventListener("pointerleave", () => { tip.hidden = true; });
    }
    get width() { return Math.max(120, Math.floor(this.plot.getBoundingClientRect().width)); }
    async draw() {
      await this.view.runAsync();
      this.plot.style.minHeight = "";
      // The plot is one image with a description; its parts would only be noise.
      this.plot.querySelector("svg").setAttribute("aria-hidden", "true");
    }
    toggle(button) {
      const shown = flip(button);
      this.hidden[shown ? "delete" : "add"](button.dataset.series);
      this.view.signal("hidden", [...this.hidden]).runAsync();
    }
    filter() { this.view.signal("robots", [...hiddenRobots]).runAsync(); }
    resize() { if (this.plot.clientWidth) this.view.width(this.width).run(); }
  }
  const flip = (button) => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", shown);
    return shown;
  };
  const drawAll = async () => {
    for (const figure of document.querySelectorAll("figure.chart")) {
      const drawing = new Drawing(figure);
      charts.push(drawing);
      await drawing.draw();
      sizes.observe(drawing.plot);
      await new Promise((go) => setTimeout(go)); // the reader need not wait for the last chart
    }
    root.dataset.drawn = charts.length;
  };
  const sizes = new ResizeObserver((entries) => {
    for (const entry of entries) charts.find((chart) => chart.plot === entry.target)?.resize();
  });

  // The filter acts on tables, figures and charts.
  const chips = [...document.querySelectorAll(".chips [data-robot]")];
  const applyFilter = () => {
    for (const part of document.querySelectorAll("tr[data-robot], figure[data-robot], li[data-robot]")) {
      part.hidden = hiddenRobots.has(part.dataset.robot);
    }
    for (const chart of charts) chart.filter();
    const shown = chips.length - hiddenRobots.size;
    const count = document.querySelector(".filter output");
    if (count) count.textContent = shown === chips.length ? `all ${shown}` : `${shown} of ${chips.length}`;
  };
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      hiddenRobots[flip(chip) ? "delete" : "add"](chip.dataset.robot);
      applyFilter();
    });
  }
  for (const button of document.querySelectorAll("[data-all]")) {
    button.addEventListener("click", () => {
      for (const chip of chips) {
        const show = button.dataset.all === "show";
        chip.setAttribute("aria-pressed", show);
        hiddenRobots[show ? "delete" : "add"](chip.dataset.robot);
      }
      applyFilter();
    });
  }

  // Sorting: numbers from the largest, names from the first; what is missing comes last.
  const sortTable = (table, column, heading) => {
    const was = heading.getAttribute("aria-sort");
    const cells = [...table.tBodies[0].rows].map((row) => row.cells[column]);
    const numbers = cells.some((cell) => cell.dataset.value !== undefined);
    const direction = was === "none" ? (numbers ? "descending" : "ascending") : was === "ascending" ? "descending" : "ascending";
    const sign = direction === "ascending" ? 1 : -1;
    const value = (cell) => (numbers ? parseFloat(cell.dataset.value ?? "NaN") : cell.textContent.trim());
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (!numbers) return sign * x.localeCompare(y);
      return isNaN(x) ? 1 : isNaN(y) ? -1 : sign * (x - y);
    };
    table.tBodies[0].append(...cells.sort(order).map((cell) => cell.parentElement));
    for (const other of heading.parentElement.cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", direction);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => sortTable(table, column, heading));
    });
  }

  // Films. No browser pauses an animated image, so its frames are cut out and drawn here.
  class Film {
    constructor(figure) {
      this.image = figure.querySelector("img");
      const { width, height, frames } = animation(this.image.src);
      this.frames = frames;
      this.canvas = Object.assign(document.createElement("canvas"), { width, height });
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", this.image.alt);
      this.pen = this.canvas.getContext("2d");
      this.button = document.createElement("button");
      this.button.type = "button";
      this.slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: this.frames.length - 1, value: 0 });
      this.slider.setAttribute("aria-label", `Frame of the film of ${figure.dataset.robot}`);
      this.name = figure.dataset.robot;
      this.place = -1;
      this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.seen = false;
      const controls = document.createElement("div");
      controls.className = "controls";
      controls.append(this.button, this.slider);
      figure.querySelector("picture").replaceWith(this.canvas, controls);
      this.button.addEventListener("click", () => this.play(!this.playing));
      this.slider.addEventListener("input", () => { this.play(false); this.show(+this.slider.value); });
      this.show(0).then(() => this.play(this.playing));
    }
    play(on) {
      this.playing = on;
      this.button.setAttribute("aria-label", `${on ? "Pause" : "Play"} the film of ${this.name}`);
      this.button.innerHTML = `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${on ? "M3 2h4v12H3zM9 2h4v12H9z" : "M3 1.5l11 6.5L3 14.5z"}"/></svg>`;
      this.wake();
      showPlaying();
    }
    wake() {
      clearTimeout(this.timer);
      if (!this.playing || !this.seen) return;
      this.timer = setTimeout(async () => {
        await this.show((this.place + 1) % this.frames.length);
        this.wake();
      }, this.frames[Math.max(0, this.place)].duration);
    }
    async show(place) {
      if (this.drawing) { this.wanted = place; return; }
      this.drawing = true;
      // A frame may be a change of the one before it, so that drawing begins where it can.
      for (let next = place > this.place ? this.place + 1 : 0; next <= place; next++) {
        const frame = this.frames[next];
        const picture = await createImageBitmap(frame.image);
        if (frame.replaces) this.pen.clearRect(frame.x, frame.y, picture.width, picture.height);
        this.pen.drawImage(picture, frame.x, frame.y);
        picture.close();
      }
      this.place = place;
      if (document.activeElement !== this.slider) this.slider.value = place;
      this.drawing = false;
      if (this.wanted !== undefined) {
        const wanted = this.wanted;
        this.wanted = undefined;
        await this.show(wanted);
      }
    }
  }
  // The size of an animated WebP and its frames, each as an image of its own (RFC 9649).
  const animation = (source) => {
    const bytes = Uint8Array.from(atob(source.slice(source.indexOf(",") + 1)), (sign) => sign.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const tag = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
    const uint24 = (at) => view.getUint16(at, true) + (bytes[at + 2] << 16);
    const end = (at) => at + 8 + view.getUint32(at + 4, true) + (bytes[at + 4] & 1);
    const frames = [];
    for (let at = 12; at < bytes.length; at = end(at)) {
      if (tag(at) !== "ANMF") continue;
      const [start, stop] = [at + 24, end(at)];
      const wide = tag(start) === "ALPH" ? extended(bytes.subarray(at + 14, at + 20)) : new Uint8Array();
      const size = new DataView(new ArrayBuffer(4));
      size.setUint32(0, 4 + wide.length + stop - start, true);
      const image = new Blob(["RIFF", size.buffer, "WEBP", wide, bytes.subarray(start, stop)], { type: "image/webp" });
      frames.push({ x: 2 * uint24(at + 8), y: 2 * uint24(at + 11), duration: uint24(at + 20), replaces: (bytes[at + 23] & 2) > 0, image });
    }
    return { width: 1 + uint24(24), height: 1 + uint24(27), frames };
  };
  const extended = (size) => Uint8Array.from([...new TextEncoder().encode("VP8X"), 10, 0, 0, 0, 16, 0, 0, 0, ...size]);
  const films = [];
  const allFilms = document.getElementById("all-films");
  const showPlaying = () => {
    if (!allFilms) return;
    allFilms.hidden = films.length < 2;
    allFilms.textContent = films.some((film) => film.playing) ? "Pause all films" : "Play all films";
  };
  allFilms?.addEventListener("click", () => {
    const on = !films.some((film) => film.playing);
    for (const film of films) film.play(on);
  });
  const onScreen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const film = films.find((own) => own.canvas === entry.target);
      film.seen = entry.isIntersecting;
      film.wake();
    }
  });
  for (const figure of document.querySelectorAll("figure.film")) {
    if (animation(figure.querySelector("img").src).frames.length < 2) continue;
    films.push(new Film(figure));
    onScreen.observe(films.at(-1).canvas);
  }
  showPlaying();

  // On paper everything is open.
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not(.numbers)")) part.open = true;
    for (const chart of charts) chart.resize();
  });
  drawAll();
})();
