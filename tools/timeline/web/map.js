/*
 * The map of memory at one time, of cells with letters; what is there, in words; and the legend.
 *
 * A cell shows what most of it holds, but what is used wins from an eighth of the cell on, as in the kernel's own view
 * (docs/view.md), with the same letters. Codes: 0 in use since before the recording, CACHED … LARGE, FREE_CODE + order.
 */

const FREE_CODE = 5, CODES = FREE_CODE + ORDERS, USED_WINS = 1 / 8;
const KIND_COLOURS = ["#8b929c", "#f0e442", "#e69f00", "#56b4e9", "#cc79a7"];
const FREE_RAMP = ["#00382a", "#d3f2e4"]; /* the smallest and the largest blocks */
const KIND_LETTERS = ["·", "C", "A", "s", "L"];
const KIND_WORDS = ["in use since before the recording", "cached by CPUs, free", "pages", "slabs", "large objects"];
const ORDER_LETTERS = "0123456789abcdefghi";
let topOrder = 10; /* the largest that occurs: the ramp's end */

function rgb(hex) {
	return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function colourOf(code) {
	if (code < FREE_CODE)
		return rgb(KIND_COLOURS[code]);
	const [a, b] = FREE_RAMP.map(rgb), share = Math.min(1, (code - FREE_CODE) / topOrder);
	return a.map((low, i) => Math.round(low + (b[i] - low) * share));
}

const css = (colour) => "rgb(" + colour.join(",") + ")";
/* Black or white, whichever can be read on it: by relative luminance, as in WCAG. */
function inkOn(colour) {
	const [r, g, b] = colour.map((part) => part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
	return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const codeOf = (what, count) => what === FREE ? FREE_CODE + 31 - Math.clz32(count) : what;

/* Which code a cell shows, from the frames of each code in it (at weights[at ...]) and all its frames. */
function chooseCode(weights, at, all) {
	let used = 0, best = 0, most = 0, free = 0, bestFree = 0, mostFree = 0, known = weights[at + CACHED];
	for (let code = PAGES; code <= LARGE; code++) {
		used += weights[at + code];
		if (weights[at + code] > most)
			[best, most] = [code, weights[at + code]];
	}
	for (let code = FREE_CODE; code < CODES; code++) {
		free += weights[at + code];
		if (weights[at + code] > mostFree)
			[bestFree, mostFree] = [code, weights[at + code]];
	}
	const before = Math.max(0, all - used - free - known);
	if (used >= all * USED_WINS && used > 0)
		return before > used * 4 ? 0 : best;
	if (before >= all * USED_WINS && before >= known && before > 0.5)
		return 0;
	return free >= known ? bestFree : CACHED;
}

/* Calls visit(row, first cell, last cell, frames a cell) for what is there at t in [low, high). */
function eachRowAt(t, low, high, visit) {
	const { start, end, position, frames: count } = frames;
	for (let i = 0; i < start.length; i++)
		if (start[i] <= t && t < end[i] && position[i] < high && position[i] + count[i] > low && position[i] !== OPEN)
			visit(i);
}

function mapAt(t, low, high, cells) {
	const width = (high - low) / cells, weights = new Float32Array(cells * CODES), letters = new Uint16Array(cells).fill(meta.noCache);
	const largest = new Uint32Array(cells);
	eachRowAt(t, low, high, (i) => {
		const code = codeOf(frames.what[i], frames.frames[i]), from = Math.max(low, frames.position[i]);
		const to = Math.min(high, frames.position[i] + frames.frames[i]);
		for (let cell = Math.floor((from - low) / width); cell < cells && low + cell * width < to; cell++) {
			const here = Math.min(to, low + (cell + 1) * width) - Math.max(from, low + cell * width);
			weights[cell * CODES + code] += here;
			if (code === SLAB && here > largest[cell])
				[largest[cell], letters[cell]] = [here, frames.cache[i]];
		}
	});
	const codes = Uint8Array.from({ length: cells }, (_, cell) => chooseCode(weights, cell * CODES, width));
	return { codes, caches: letters };
}

/* Bytes of each code at t in the part of memory that is shown. */
function totalsAt(t, low, high) {
	const totals = new Float64Array(CODES);
	let known = 0;
	eachRowAt(t, low, high, (i) => {
		const here = Math.min(high, frames.position[i] + frames.frames[i]) - Math.max(low, frames.position[i]);
		totals[codeOf(frames.what[i], frames.frames[i])] += here * PAGE;
		known += here;
	});
	totals[0] = Math.max(0, high - low - known) * PAGE;
	return totals;
}

/* --- The map of cells --- */

const CELL = 14;
const map = { canvas: document.getElementById("map"), columns: 1, rows: 1, selected: -1, wanted: -1, cells: null };

function drawMap() {
	const { canvas } = map, ratio = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
	map.columns = Math.max(1, Math.floor(width / CELL));
	map.rows = Math.max(1, Math.floor(height / CELL));
	map.shown = Math.min(map.columns * map.rows, view.high - view.low);
	if (map.wanted >= 0) /* a position that is to be selected, whatever the cells are now */
		map.selected = clamp(Math.floor((map.wanted - view.low) * map.shown / (view.high - view.low)), 0, map.shown - 1);
	map.cells = mapAt(view.t, view.low, view.high, map.shown);
	canvas.width = Math.round(width * ratio);
	canvas.height = Math.round(height * ratio);
	const pen = canvas.getContext("2d");
	for (let cell = 0; cell < map.shown; cell++) {
		const [x, y] = cellPlace(cell), code = map.cells.codes[cell];
		pen.drawImage(tileOf(code, letterOf(code, map.cells.caches[cell]), ratio), Math.round(x * ratio), Math.round(y * ratio));
	}
	pen.scale(ratio, ratio);
	drawSelected(pen);
}

function letterOf(code, cache) {
	if (code >= FREE_CODE)
		return ORDER_LETTERS[code - FREE_CODE];
	if (code === SLAB && cache !== meta.noCache)
		return cacheName(cache)[0].toLowerCase();
	return KIND_LETTERS[code];
}

const cellPlace = (cell) => [(cell % map.columns) * CELL, Math.floor(cell / map.columns) * CELL];

/* A cell's picture, drawn once: text is the dearest of all to draw. */
const tiles = new Map();
function tileOf(code, letter, ratio) {
	const key = code + letter + ratio;
	if (!tiles.has(key))
		tiles.set(key, drawTile(colourOf(code), letter, ratio));
	return tiles.get(key);
}

function drawTile(colour, letter, ratio) {
	const tile = document.createElement("canvas");
	tile.width = tile.height = Math.round(CELL * ratio);
	const pen = tile.getContext("2d");
	pen.scale(ratio, ratio);
	pen.fillStyle = css(colour);
	pen.fillRect(0, 0, CELL - 1, CELL - 1);
	pen.font = "bold 10px ui-monospace, 'DejaVu Sans Mono', monospace";
	pen.textAlign = "center";
	pen.textBaseline = "middle";
	pen.fillStyle = inkOn(colour);
	pen.fillText(letter, CELL / 2 - 0.5, CELL / 2);
	return tile;
}

function drawSelected(pen) {
	if (map.selected < 0 || map.selected >= map.shown)
		return;
	const [x, y] = cellPlace(map.selected);
	pen.strokeStyle = style("--panel");
	pen.lineWidth = 4;
	pen.strokeRect(x - 0.5, y - 0.5, CELL, CELL);
	pen.strokeStyle = style("--text");
	pen.lineWidth = 2;
	pen.strokeRect(x - 0.5, y - 0.5, CELL, CELL);
}

/* Positions [first, end) of a cell. */
function cellRange(cell) {
	const width = (view.high - view.low) / map.shown;
	return [Math.floor(view.low + cell * width), Math.max(Math.floor(view.low + cell * width) + 1, Math.floor(view.low + (cell + 1) * width))];
}

function cellUnder(event) {
	const box = map.canvas.getBoundingClientRect(), x = Math.floor((event.clientX - box.left) / CELL);
	const cell = x + map.columns * Math.floor((event.clientY - box.top) / CELL);
	return x < map.columns && cell >= 0 && cell < map.shown ? cell : -1;
}

function selectCell(cell) {
	map.selected = clamp(cell, 0, map.shown - 1);
	map.wanted = -1;
	drawMap();
	showWords();
}

function showWords() {
	const words = document.getElementById("map-words");
	words.textContent = map.selected < 0 ? "Select a cell, or point at it, to see what it holds and who asked for it."
		: describe(view.t, ...cellRange(Math.min(map.selected, map.shown - 1))).join("; ");
}

function zoomAtSelected(factor) {
	const [first, end] = map.selected >= 0 ? cellRange(Math.min(map.selected, map.shown - 1)) : [view.low, view.high];
	const middle = (first + end) / 2;
	zoomMemory(factor, middle);
}

function mapKey(event) {
	const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -map.columns, ArrowDown: map.columns };
	if (event.key in moves)
		selectCell(map.selected < 0 ? 0 : map.selected + moves[event.key]);
	else if (event.key === "+" || event.key === "=")
		zoomAtSelected(0.5);
	else if (event.key === "Enter") {
		const [first, end] = cellRange(Math.max(0, map.selected));
		showMemory(first - (end - first) * 8, end + (end - first) * 8);
	} else if (event.key === "-")
		zoomAtSelected(2);
	else if (event.key === "0")
		showMemory(0, memoryFrames);
	else
		return;
	event.preventDefault();
	event.stopPropagation();
}

/* --- What is there, in words: lines for the hover and for the selected cell --- */

function describe(t, first, end) {
	const rows = [];
	eachRowAt(t, first, end, (i) => rows.push(i));
	const lines = [physical(frameAt(first)) + " – " + physical(frameAt(end - 1) + 1) + ", " + bytes((end - first) * PAGE)];
	if (rows.length <= 2)
		rows.forEach((i) => lines.push(...describeBlock(t, i)));
	else
		lines.push(...describeShare(t, first, end));
	const known = rows.reduce((sum, i) => sum + Math.min(end, frames.position[i] + frames.frames[i]) - Math.max(first, frames.position[i]), 0);
	if (known < end - first)
		lines.push(bytes((end - first - known) * PAGE) + " " + KIND_WORDS[0]);
	return lines;
}

function describeBlock(t, i) {
	const size = bytes(frames.frames[i] * PAGE), at = physical(frames.frame[i]);
	const since = frames.start[i] ? " since " + time(frames.start[i]) : " since the start";
	const until = frames.end[i] === OPEN ? ", to the end" : " until " + time(frames.end[i]);
	const site = frames.site[i] ? ", " + siteName(frames.site[i]) : "";
	if (frames.what[i] === SLAB)
		return ["slab of " + cacheName(frames.cache[i]) + " at " + at + ", " + size + since + until, ...describeObjects(t, i)];
	const words = { [FREE]: "free block of order " + (31 - Math.clz32(frames.frames[i])), [CACHED]: "free in a CPU's cache",
		[PAGES]: "pages", [LARGE]: "large object" };
	return [words[frames.what[i]] + " at " + at + ", " + size + since + until + site];
}

/* The objects of a slab, by call site. */
function describeObjects(t, slab) {
	if (!meta.placed)
		return [];
	const low = frames.frame[slab], high = low + frames.frames[slab], sites = new Map();
	let live = 0;
	for (let i = 0; i < objects.start.length; i++)
		if (objects.page[i] >= low && objects.page[i] < high && objects.start[i] <= t && t < objects.end[i] && objects.kind[i] === OBJECT) {
			live++;
			sites.set(objects.site[i], (sites.get(objects.site[i]) || 0) + 1);
		}
	const room = Math.floor(frames.frames[slab] * PAGE / (meta.objectSizes[frames.cache[slab]] || PAGE));
	const heavy = [...sites].sort((a, b) => b[1] - a[1]).slice(0, 3).map(([site, count]) => whole(count) + " of " + siteName(site));
	return [whole(live) + (room ? " of " + whole(room) : "") + " objects that were seen", ...heavy];
}

function describeShare(t, first, end) {
	const totals = totalsAt(t, first, end), lines = [], sites = new Map(), caches = new Map();
	for (let code = CACHED; code < FREE_CODE; code++)
		if (totals[code])
			lines.push([totals[code], bytes(totals[code]) + " " + KIND_WORDS[code]]);
	const free = totals.slice(FREE_CODE).reduce((a, b) => a + b, 0);
	if (free)
		lines.push([free, bytes(free) + " free, largest block " + blockSize(totals.findLastIndex((size) => size > 0) - FREE_CODE)]);
	eachRowAt(t, first, end, (i) => {
		const [tally, key] = frames.what[i] === SLAB ? [caches, cacheName(frames.cache[i])] : [sites, siteName(frames.site[i])];
		if (frames.what[i] === SLAB || frames.site[i] && frames.what[i] >= PAGES)
			tally.set(key, (tally.get(key) || 0) + frames.frames[i] * PAGE);
	});
	const heaviest = (tally) => [...tally].sort((a, b) => b[1] - a[1]).slice(0, 3).map(([name, size]) => name + " " + bytes(size));
	const words = lines.sort((a, b) => b[0] - a[0]).map((line) => line[1]);
	if (caches.size)
		words.push("slabs: " + heaviest(caches).join(", "));
	if (sites.size)
		words.push("callers: " + heaviest(sites).join(", "));
	return words;
}

/* --- The legend, which is also the sum --- */

function drawLegend() {
	const totals = totalsAt(view.t, view.low, view.high), all = (view.high - view.low) * PAGE;
	const line = (key, words, size) => make("tr", ...[key, words, bytes(size), percent(size / all)].map((content) => make("td", content)));
	const lines = [SLAB, PAGES, LARGE, CACHED, 0].map((code) => line(keyOf(code), KIND_WORDS[code], totals[code]));
	lines.push(line("", "free", totals.slice(FREE_CODE).reduce((a, b) => a + b, 0)));
	document.querySelector("#legend tbody").replaceChildren(...lines);
	const orders = Array.from({ length: topOrder + 1 }, (_, order) => order).filter((order) => order <= 10 || totals[FREE_CODE + order]);
	document.getElementById("orders").replaceChildren(...orders.map((order) => make("li", keyOf(FREE_CODE + order), make("span", blockSize(order)),
		make("span", totals[FREE_CODE + order] ? bytes(totals[FREE_CODE + order]) : "–"))));
}

function make(name, ...content) {
	const element = document.createElement(name);
	element.append(...content);
	return element;
}

function keyOf(code) {
	const key = make("span", code < FREE_CODE ? KIND_LETTERS[code] : ORDER_LETTERS[code - FREE_CODE]), colour = colourOf(code);
	key.className = "key";
	Object.assign(key.style, { background: css(colour), color: inkOn(colour) });
	return key;
}

/* The part of memory where something was ever used, or cached. */
function busyMemory() {
	let low = memoryFrames, high = 0;
	for (let i = 0; i < frames.start.length; i++)
		if (frames.what[i] !== FREE && frames.position[i] !== OPEN) {
			low = Math.min(low, frames.position[i]);
			high = Math.max(high, frames.position[i] + frames.frames[i]);
		}
	return low < high ? [low, high] : [0, memoryFrames];
}
