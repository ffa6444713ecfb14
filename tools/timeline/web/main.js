/* Puts it together: the controls, the hover, the keys, and the order of the start. */

const $ = (id) => document.getElementById(id);

function showTiles() {
	const f = meta.figures, fine = f.unusable[9];
	const tiles = [["events", whole(f.events)], ["time", time(meta.span)], ["memory", bytes(memoryFrames * PAGE)],
		["live at the end", bytes(f.live_bytes)], ["peak of live bytes", bytes(f.peak_live_bytes)], ["free at the end", bytes(f.free_bytes)],
		["largest free block", bytes(f.largest_free_bytes)], ["free, but not in 2 MiB", percent(fine)]];
	$("tiles").replaceChildren(...tiles.map(([name, value]) => {
		const tile = document.createElement("div");
		tile.className = "tile";
		tile.append(Object.assign(document.createElement("b"), { textContent: value }), Object.assign(document.createElement("span"), { textContent: name }));
		return tile;
	}));
}

function showNotes() {
	const f = meta.figures, lost = Object.entries(f.lost).filter(([, count]) => count), notes = [];
	if (lost.length)
		notes.push(whole(lost.reduce((sum, [, count]) => sum + count, 0)) + " events were lost (" + lost.map(([cpu, count]) => "CPU " + cpu + ": " + whole(count)).join(", ") +
			"): what is shown may be wrong where they are missing.");
	if (!f.complete)
		notes.push("The recording was cut off: it has no end record.");
	if (f.contradictions)
		notes.push(whole(f.contradictions) + " events contradict what was seen before them; the later one was believed.");
	if (!meta.unit)
		notes.push("The file does not say how long a tick is: times are in ticks.");
	if (!objects.start.length)
		notes.push("The file holds no events of objects: what callers hold in slabs, and who they are, is not known.");
	if (!meta.placed && objects.start.length)
		notes.push("Where objects lie in memory could not be found: slabs do not name their objects.");
	$("notes").replaceChildren(...notes.map((text) => Object.assign(document.createElement("p"), { textContent: "⚠ " + text })));
}

/* --- Time --- */

const SLIDER = 10000;
let playing = 0;

function drawTime() {
	const span = view.to - view.from;
	$("slider").value = Math.round(SLIDER * clamp((view.t - view.from) / span, 0, 1));
	$("slider").setAttribute("aria-valuetext", time(view.t, span / SLIDER));
	$("now").textContent = $("map-time").textContent = time(view.t, span / 2000);
	$("window").textContent = view.from <= 0 && view.to >= meta.span ? "all " + time(meta.span) : time(view.from, span / 1000) + " – " + time(view.to, span / 1000);
	charts.forEach(placeMarker);
	placeMarkers();
}

function togglePlay() {
	playing = playing ? 0 : performance.now();
	$("play").textContent = playing ? "❚❚" : "▶";
	$("play").setAttribute("aria-label", playing ? "Pause" : "Play");
	if (playing) {
		if (view.t >= view.to - 1)
			goTo(view.from);
		requestAnimationFrame(playStep);
	}
}

/* The part of time that is shown passes in 15 seconds. */
function playStep(now) {
	if (!playing)
		return;
	const next = view.t + (view.to - view.from) * Math.max(0, now - playing) / 15000;
	playing = now;
	goTo(Math.min(next, view.to));
	if (next >= view.to)
		togglePlay();
	else
		requestAnimationFrame(playStep);
}

function pageKey(event) {
	if (event.target.matches("input[type=search]") || event.ctrlKey || event.altKey || event.metaKey)
		return;
	const inButton = event.target.matches("button, [role=button], tr, summary");
	const actions = { "[": () => moveTime(-0.25), "]": () => moveTime(0.25), "+": () => zoomTime(0.5), "=": () => zoomTime(0.5), "-": () => zoomTime(2),
		"0": () => showTime(0, meta.span), " ": inButton ? null : togglePlay };
	if (actions[event.key]) {
		actions[event.key]();
		event.preventDefault();
	}
}

function sliderKey(event) {
	const large = (view.to - view.from) / 20, moves = { PageUp: large, PageDown: -large };
	if (event.key in moves) {
		goTo(clamp(view.t + moves[event.key], view.from, view.to));
		event.preventDefault();
	}
}

/* --- The hover --- */

function showHover(event, lines) {
	const box = $("hover");
	box.replaceChildren(Object.assign(document.createElement("b"), { textContent: lines[0] }), lines.slice(1).join("\n"));
	box.hidden = false;
	const right = event.clientX + 16 + box.offsetWidth > innerWidth, below = event.clientY + 16 + box.offsetHeight > innerHeight;
	box.style.left = Math.max(4, right ? event.clientX - 12 - box.offsetWidth : event.clientX + 16) + "px";
	box.style.top = Math.max(4, below ? event.clientY - 12 - box.offsetHeight : event.clientY + 16) + "px";
}

const hideHover = () => { $("hover").hidden = true; };

/* --- The pictures' pointers --- */

function listenToMap() {
	const { canvas } = map;
	canvas.addEventListener("mousemove", (event) => {
		const cell = cellUnder(event);
		if (cell >= 0)
			showHover(event, describe(view.t, ...cellRange(cell)));
		else
			hideHover();
	});
	canvas.addEventListener("mouseleave", hideHover);
	canvas.addEventListener("click", (event) => {
		if (cellUnder(event) >= 0)
			selectCell(cellUnder(event));
	});
	canvas.addEventListener("wheel", (event) => {
		const cell = cellUnder(event);
		if (!event.ctrlKey || cell < 0)
			return;
		event.preventDefault();
		zoomMemory(event.deltaY > 0 ? 1.25 : 0.8, cellRange(cell)[0]);
	}, { passive: false });
	canvas.addEventListener("keydown", mapKey);
	$("map-in").addEventListener("click", () => zoomAtSelected(0.5));
	$("map-out").addEventListener("click", () => zoomAtSelected(2));
	$("map-busy").addEventListener("click", () => showMemory(...busyMemory()));
	$("map-all").addEventListener("click", () => showMemory(0, memoryFrames));
}

function listenToHeat() {
	const { canvas } = heat, select = $("heat-select");
	let down = null;
	canvas.addEventListener("mousedown", (event) => { down = event.offsetX; });
	canvas.addEventListener("mousemove", (event) => {
		const { t, first, end } = heatUnder(event), lines = describe(t, first, end);
		showHover(event, ["at " + time(t, (view.to - view.from) / 2000) + ": " + lines[0], ...lines.slice(1)]);
		if (down !== null && event.buttons) {
			select.hidden = false;
			Object.assign(select.style, { left: Math.min(down, event.offsetX) + "px", width: Math.abs(event.offsetX - down) + "px" });
		}
	});
	canvas.addEventListener("mouseup", (event) => {
		const at = (x) => view.from + (view.to - view.from) * x / canvas.clientWidth;
		if (down !== null && Math.abs(event.offsetX - down) > 3)
			showTime(at(Math.min(down, event.offsetX)), at(Math.max(down, event.offsetX)));
		else
			goTo(heatUnder(event).t);
		down = null;
		select.hidden = true;
	});
	canvas.addEventListener("mouseleave", () => {
		hideHover();
		down = null;
		select.hidden = true;
	});
	canvas.addEventListener("dblclick", () => showTime(0, meta.span));
	canvas.addEventListener("keydown", (event) => {
		const step = (view.to - view.from) / 100, moves = { ArrowLeft: -step, ArrowRight: step };
		if (event.key in moves) {
			goTo(view.t + moves[event.key]);
			event.preventDefault();
		}
	});
	wheelZooms(canvas);
}

function listenToControls() {
	$("slider").addEventListener("input", (event) => goTo(view.from + (view.to - view.from) * event.target.value / SLIDER));
	$("slider").addEventListener("keydown", sliderKey);
	$("play").addEventListener("click", togglePlay);
	$("earlier").addEventListener("click", () => moveTime(-0.25));
	$("later").addEventListener("click", () => moveTime(0.25));
	$("zoom-in").addEventListener("click", () => zoomTime(0.5));
	$("zoom-out").addEventListener("click", () => zoomTime(2));
	$("zoom-all").addEventListener("click", () => showTime(0, meta.span));
	$("keys-button").addEventListener("click", () => {
		$("keys").hidden = !$("keys").hidden;
		$("keys-button").setAttribute("aria-expanded", !$("keys").hidden);
	});
	$("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
	addEventListener("keydown", pageKey);
	addEventListener("resize", () => requestAnimationFrame(() => {
		resizeCharts();
		drawMap();
		drawHeat();
	}));
}

function setTheme(name) {
	document.documentElement.dataset.theme = name;
	drawMap();
	charts.forEach((chart) => chart.plot?.redraw(false));
	charts.forEach(drawDashes);
}

function drawRange() {
	$("map-range").textContent = (view.high - view.low === memoryFrames ? "all memory, " : "") + bytes((view.high - view.low) * PAGE) + " from " +
		physical(frameAt(view.low)) + "; a cell is " + bytes((view.high - view.low) / map.shown * PAGE);
}

/* The end, but the peak when little is left then; and the site that leaks most, if one does. */
function firstTime() {
	const f = meta.figures;
	return f.live_bytes * 10 < f.peak_live_bytes ? f.peak_time : meta.span;
}

async function start() {
	document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
	await unpack();
	for (let i = 0; i < frames.start.length; i++)
		if (frames.what[i] === FREE)
			topOrder = Math.max(topOrder, 31 - Math.clz32(frames.frames[i]));
	Object.assign(view, { from: 0, to: Math.max(1, meta.span), t: firstTime(), low: 0, high: memoryFrames });
	$("source").textContent = meta.source;
	showTiles();
	showNotes();
	defineCharts();
	defineTables();
	view.site = tables.leaks.rows.find((row) => row.verdict !== "stays") ?? null;
	tables.leaks.draw();
	drawCharts();
	drawMap();
	drawHeat();
	drawLegend();
	drawTables();
	drawObjects();
	drawTime();
	drawRange();
	showWords();
	onView("from to", drawCharts);
	onView("t low high", drawMap);
	onView("t low high", drawLegend);
	onView("t low high", showWords);
	onView("from to low high", drawHeat);
	onView("t", drawTables);
	onView("t site", drawObjects);
	onView("t from to", drawTime);
	onView("low high", drawRange);
	onView("site", () => {
		drawSiteChart();
		tables.leaks.draw();
		tables.sites.draw();
	});
	listenToMap();
	listenToHeat();
	listenToControls();
	$("footer").textContent = "Drawn from " + whole(frames.start.length) + " lifetimes of blocks and " + whole(objects.start.length) + " of objects. Charts by uPlot (MIT).";
	requestAnimationFrame(() => requestAnimationFrame(() => {
		document.documentElement.dataset.ready = Math.round(performance.now());
	}));
}

start().catch((error) => {
	$("notes").append(Object.assign(document.createElement("p"), { textContent: "⚠ The page could not be drawn: " + error.message }));
	throw error;
});
