/*
 * The heat map: address upwards, time to the right, in the colours of the map and by its rule (map.js). A column shows one
 * moment, the middle of its time.
 */

const HEAT_ROWS = 100, HEAT_SCALE = 2;
const heat = { canvas: document.getElementById("heat") };

/* Codes of [rows][columns] for the heat map; row 0 is the lowest memory. Sums of +1 and -1 along time, as in series.js. */
function heatCodes(from, to, low, high, columns, rows) {
	const step = (to - from) / columns, width = (high - low) / rows, line = columns + 1;
	const weights = new Float32Array(rows * CODES * line), { start, end, position, frames: count, what } = frames;
	const column = (t) => t === OPEN ? columns : clamp(Math.ceil((t - from) / step - 0.5), 0, columns);
	for (let i = 0; i < start.length; i++) {
		const a = column(start[i]), b = column(end[i]);
		if (a >= b || position[i] >= high || position[i] + count[i] <= low)
			continue;
		const code = codeOf(what[i], count[i]), first = Math.max(low, position[i]), last = Math.min(high, position[i] + count[i]);
		for (let row = Math.floor((first - low) / width); row < rows && low + row * width < last; row++) {
			const here = Math.min(last, low + (row + 1) * width) - Math.max(first, low + row * width);
			const at = (row * CODES + code) * line;
			weights[at + a] += here;
			weights[at + b] -= here;
		}
	}
	return chooseHeat(weights, columns, rows, width);
}

function chooseHeat(weights, columns, rows, width) {
	const codes = new Uint8Array(rows * columns), cell = new Float32Array(CODES), line = columns + 1;
	for (let row = 0; row < rows; row++) {
		cell.fill(0);
		for (let x = 0; x < columns; x++) {
			for (let code = 1; code < CODES; code++)
				cell[code] += weights[(row * CODES + code) * line + x];
			codes[row * columns + x] = chooseCode(cell, 0, width);
		}
	}
	return codes;
}

function drawHeat() {
	const { canvas } = heat, columns = Math.max(16, Math.floor(canvas.clientWidth / HEAT_SCALE));
	const rows = Math.min(HEAT_ROWS, view.high - view.low), codes = heatCodes(view.from, view.to, view.low, view.high, columns, rows);
	canvas.width = columns;
	canvas.height = rows;
	canvas.style.imageRendering = "pixelated";
	const pen = canvas.getContext("2d"), picture = pen.createImageData(columns, rows);
	const palette = Array.from({ length: CODES }, (_, code) => colourOf(code));
	for (let row = 0; row < rows; row++)
		for (let x = 0; x < columns; x++)
			picture.data.set([...palette[codes[row * columns + x]], 255], ((rows - 1 - row) * columns + x) * 4);
	pen.putImageData(picture, 0, 0);
	drawHeatAxes();
}

function drawHeatAxes() {
	const steps = 4, axis = document.getElementById("heat-axis"), times = document.getElementById("heat-times");
	const edges = Array.from({ length: steps + 1 }, (_, i) => frameAt(Math.min(memoryFrames - 1, Math.round(view.low + (view.high - view.low) * (1 - i / steps)))));
	const words = edges.map((frame) => bytes(frame * PAGE)), alike = new Set(words).size < words.length;
	axis.replaceChildren(...edges.map((frame, i) => label(alike ? physical(frame) : words[i], "top", i / steps)));
	times.replaceChildren(...Array.from({ length: steps * 2 + 1 }, (_, i) => label(
		time(view.from + (view.to - view.from) * i / steps / 2, (view.to - view.from) / 100), "left", i / steps / 2)));
	drawFailures();
	placeMarkers();
}

/* Failures for lack of memory and reclaims, as flags at the top of the heat map; of those close together, one. */
function drawFailures() {
	const flags = new Map();
	for (let i = 0; i < marks.time.length; i++)
		if (marks.kind[i] >= 48 && marks.time[i] >= view.from && marks.time[i] <= view.to) {
			const share = (marks.time[i] - view.from) / (view.to - view.from), name = marks.kind[i] === 49 ? "no memory" : "reclaim";
			flags.set(name + Math.round(share * 12), [name, share]);
		}
	document.getElementById("heat-failures").replaceChildren(...[...flags.values()].map(([name, share]) => label(name, "left", share)));
}

function label(text, side, share) {
	const element = document.createElement("span");
	element.textContent = text;
	element.style[side] = 100 * share + "%";
	return element;
}

function placeMarkers() {
	const marker = document.getElementById("heat-marker"), share = (view.t - view.from) / (view.to - view.from);
	marker.style.left = "calc(" + 100 * share + "% - 1px)";
	marker.hidden = share < 0 || share > 1;
}

/* Time and positions under the pointer. */
function heatUnder(event) {
	const box = heat.canvas.getBoundingClientRect(), rows = Math.min(HEAT_ROWS, view.high - view.low);
	const row = clamp(Math.floor((1 - (event.clientY - box.top) / box.height) * rows), 0, rows - 1), width = (view.high - view.low) / rows;
	return { t: view.from + (view.to - view.from) * clamp((event.clientX - box.left) / box.width, 0, 1),
		first: Math.floor(view.low + row * width), end: Math.max(Math.floor(view.low + row * width) + 1, Math.floor(view.low + (row + 1) * width)) };
}
