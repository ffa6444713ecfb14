/*
 * The charts, by uPlot: one time axis for all. A drag zooms, a click goes to a time, curves differ by dashes as well as by
 * colour, and the legend shows the values under the pointer; its entries are buttons that hide curves.
 */

const CURVE_COLOURS = {
	light: ["#0072b2", "#d55e00", "#009e73", "#b8488a", "#8a6d00", "#3a8fc4", "#6e6e6e", "#c27800"],
	dark: ["#56b4e9", "#ff8a3d", "#2fd0a0", "#e59fca", "#e6c650", "#a9d9f7", "#b5b5b5", "#f0b030"],
};
const curveColour = (i) => CURVE_COLOURS[document.documentElement.dataset.theme][i % 8];
const DASHES = [[], [7, 3], [2, 2], [10, 3, 2, 3], [4, 4], [12, 4], [1, 3], [6, 2, 2, 2, 2, 2]];
const SAMPLES = 700, TOP_CACHES = 7, CHART_HEIGHT = 210;
const BINARY = Array.from({ length: 50 }, (_, i) => 2 ** i); /* an axis of bytes counts in these */
const INDEX_ORDERS = [1, 2, 3, 5, 7, 9, 10];
const charts = [];
let series = null;

const sync = uPlot.sync("time");

/* get(): [label, values, shown] of each curve. Curves that come and go make a new chart. */
function addChart(id, title, note, words, get, options = {}) {
	const box = document.createElement("section");
	box.className = "panel";
	box.id = id;
	box.setAttribute("aria-label", title);
	const heading = document.createElement("div");
	heading.className = "heading";
	heading.append(Object.assign(document.createElement("h2"), { textContent: title }), Object.assign(document.createElement("p"), { textContent: note }));
	const place = document.createElement("div");
	box.append(heading, place);
	document.getElementById(options.place ?? "charts").append(box);
	charts.push({ id, box, place, words, get, options, plot: null, labels: "" });
}

function drawChart(chart) {
	const curves = chart.get(), labels = curves.map(([name]) => name).join("\n");
	const data = [series.times, ...curves.map(([, values]) => values.length > series.times.length ? values.subarray(0, series.times.length) : values)];
	chart.box.hidden = !curves.length;
	if (!curves.length)
		return;
	if (chart.plot && chart.labels === labels) {
		chart.plot.setData(data, false);
		chart.plot.setScale("x", { min: view.from, max: view.to });
		return;
	}
	chart.plot?.destroy();
	chart.labels = labels;
	chart.plot = new uPlot(plotOptions(chart, curves), data, chart.place);
	chart.plot.setScale("x", { min: view.from, max: view.to });
	prepare(chart);
}

function plotOptions(chart, curves) {
	const axis = { stroke: () => style("--soft"), grid: { stroke: () => style("--grid"), width: 1 },
		ticks: { stroke: () => style("--grid"), width: 1 }, font: "11px system-ui, sans-serif" };
	return {
		width: chart.box.clientWidth - 28, height: CHART_HEIGHT, padding: [8, 12, 0, 0],
		scales: { x: { time: false, auto: false }, y: chart.options.scale ?? { range: (_, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
		axes: [{ ...axis, size: 26, values: (_, ticks) => ticks.map((t) => time(t, (view.to - view.from) / 20)), space: 90 },
			{ ...axis, size: 66, values: (_, ticks) => ticks.map((value) => value == null ? "" : chart.words(value)), ...chart.options.axis }],
		cursor: { sync: { key: "time", setSeries: false }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
		series: [{ label: "time", value: (_, t) => t == null ? "" : time(t, series.step) },
			...curves.map(([name, , shown = true], i) => ({ label: name, stroke: () => curveColour(i), width: 1.6, dash: DASHES[i % 8], points: { show: false }, show: shown,
				paths: chart.options.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
				value: (_, value) => value == null || Number.isNaN(value) ? "–" : chart.words(value) }))],
		hooks: { setSelect: [selectDone], draw: [() => placeMarker(chart)] },
	};
}

function selectDone(plot) {
	const { left, width } = plot.select;
	if (width > 3)
		showTime(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
	plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
}

/* What uPlot leaves to its users: the mark of the slider's time, clicks, wheels, and keys in the legend. */
function prepare(chart) {
	const { over, root } = chart.plot, marker = document.createElement("div");
	marker.className = "marker";
	over.append(marker);
	chart.marker = marker;
	let down = 0;
	over.addEventListener("mousedown", (event) => { down = event.clientX; });
	over.addEventListener("click", (event) => {
		if (Math.abs(event.clientX - down) < 3)
			goTo(chart.plot.posToVal(event.clientX - over.getBoundingClientRect().left, "x"));
	});
	over.addEventListener("dblclick", () => showTime(0, meta.span));
	over.addEventListener("mouseleave", () => requestAnimationFrame(() => charts.forEach(placeMarker)));
	wheelZooms(over);
	root.querySelectorAll(".u-legend .u-series th").forEach((entry, i) => {
		if (!i)
			return;
		entry.tabIndex = 0;
		entry.setAttribute("role", "button");
		entry.setAttribute("aria-pressed", chart.plot.series[i].show);
		entry.addEventListener("click", () => entry.setAttribute("aria-pressed", chart.plot.series[i].show));
		entry.addEventListener("keydown", (event) => {
			if (event.key === "Enter" || event.key === " ") {
				entry.click();
				event.preventDefault();
				event.stopPropagation();
			}
		});
	});
	drawDashes(chart);
	placeMarker(chart);
}

/* The legend's samples of the curves, dashed as those are. */
function drawDashes(chart) {
	chart.plot?.root.querySelectorAll(".u-legend .u-series:not(:first-child) .u-marker").forEach(drawDash);
}

function drawDash(mark, i) {
	const [line, gap] = DASHES[i % 8].length ? DASHES[i % 8] : [1, 0], colour = curveColour(i);
	mark.style.border = "0";
	mark.style.height = "3px";
	mark.style.background = gap ? `repeating-linear-gradient(90deg, ${colour} 0 ${line}px, transparent ${line}px ${line + gap}px)` : colour;
}

function wheelZooms(element) {
	element.addEventListener("wheel", (event) => {
		const box = element.getBoundingClientRect(), at = view.from + (view.to - view.from) * (event.clientX - box.left) / box.width;
		if (event.ctrlKey)
			zoomTime(event.deltaY > 0 ? 1.25 : 0.8, at);
		else if (event.shiftKey)
			moveTime(Math.sign(event.deltaY || event.deltaX) * 0.1);
		else
			return;
		event.preventDefault();
	}, { passive: false });
}

function placeMarker(chart) {
	if (!chart.plot || !chart.marker)
		return;
	chart.marker.style.left = chart.plot.valToPos(view.t, "x") - 1 + "px";
	chart.marker.hidden = view.t < view.from || view.t > view.to;
	if (chart.plot.cursor.left < 0) /* nobody points at it: the legend shows the slider's time */
		chart.plot.setLegend({ idx: clamp(Math.round((view.t - view.from) / series.step), 0, SAMPLES - 1) }, false);
}

function topCaches(measure) {
	return [...series.slabPages].map(([cache, pages]) => [cache, pages.subarray(0, SAMPLES).reduce((a, b) => a + b, 0)])
		.filter(([cache]) => measure.has(cache)).sort((a, b) => b[1] - a[1]).slice(0, TOP_CACHES).map(([cache]) => cache);
}

const inBytes = (pages) => pages.map((count) => count * PAGE);
const occurs = (values) => values.some((value) => value > 0);

function defineCharts() {
	const perTime = (value) => value.toLocaleString("en-US", { notation: "compact", maximumSignificantDigits: 3 }) + (meta.unit ? " /s" : " /tick");
	const inBinary = { axis: { incrs: BINARY } };
	addChart("chart-live", "Live bytes", "what callers hold, and the memory behind it", bytes, () => [
		["objects", series.live[OBJECT]], ["slabs", inBytes(series.pages[SLAB])], ["pages", inBytes(series.pages[PAGES])],
		["large objects", series.live[LARGE_OBJECT]], ["vmalloc", series.live[AREA]]].filter(([, values]) => occurs(values)), inBinary);
	addChart("chart-free", "Free blocks of each order", "on a compressed scale", (count) => count < 0 ? "" : whole(count),
		() => series.freeBlocks.map((values, order) => [blockSize(order), values]).filter(([, values]) => occurs(values)),
		{ scale: { distr: 4, asinh: 1, range: (_, low, high) => [0, Math.max(high, 1) * 1.2] } });
	addChart("chart-index", "Fragmentation", "free memory in blocks too small for a size: 0 % is none", percent,
		() => INDEX_ORDERS.filter((order) => order <= Math.max(topOrder, 1)).map((order) => [blockSize(order), series.unusable[order]]),
		{ scale: { range: (_, low, high) => [0, clamp(high * 1.1, 0.1, 1)] } });
	addChart("chart-largest", "Largest free block", "", (order) => blockSize(order), () => [["largest free block", series.largest]],
		{ stepped: true, scale: { range: () => [0, topOrder + 1] }, axis: { incrs: [1, 2, 4] } });
	addChart("chart-slabs", "Slab occupancy", "live objects' share of their slabs, the caches with most memory", percent,
		() => !objects.start.length ? [] : topCaches(series.occupancy).map((cache) => [cacheName(cache), series.occupancy.get(cache)]), { scale: { range: [0, 1] } });
	addChart("chart-rate", "Allocation rate", "", perTime, () => Object.entries(series.rates).filter(([, values]) => occurs(values))
		.map(([name, values], i) => [name, values, i < 4]));
	addChart("chart-site", "Live bytes of the chosen call site", "choose one in the tables below", bytes,
		() => view.site ? [[view.site.name, computeSite(view.site, view.from, view.to, SAMPLES).live]] : [], { ...inBinary, place: "site-chart" });
}

function drawCharts() {
	series = computeSeries(view.from, view.to, SAMPLES);
	charts.forEach(drawChart);
	charts.forEach(placeMarker);
}

function drawSiteChart() {
	drawChart(charts[charts.length - 1]);
}

function resizeCharts() {
	for (const chart of charts)
		chart.plot?.setSize({ width: chart.box.clientWidth - 28, height: CHART_HEIGHT });
	charts.forEach(placeMarker);
}
