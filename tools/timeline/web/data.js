"use strict";
/* The data: unpacks the columns, and says sizes and times in words. */

const FREE = 0, CACHED = 1, PAGES = 2, SLAB = 3, LARGE = 4;
const OBJECT = 0, LARGE_OBJECT = 1, AREA = 2;
const OPEN = 0xffffffff, PAGE = 4096, ORDERS = 19;
const ARRAYS = { B: Uint8Array, H: Uint16Array, I: Uint32Array };

const meta = JSON.parse(document.getElementById("meta").textContent);
const frames = {}, objects = {}, marks = {};

async function unpack() {
	const element = document.getElementById("data");
	const stream = new Blob([fromBase64(element.textContent)]).stream().pipeThrough(new DecompressionStream("deflate"));
	const buffer = await new Response(stream).arrayBuffer();
	element.remove();
	const tables = { frames, objects, marks };
	for (const column of meta.columns)
		tables[column.table][column.name] = restore(new ARRAYS[column.type](buffer, column.offset, column.rows),
			column.how, tables[column.table].start);
	placeFrames();
}

function fromBase64(text) {
	if (Uint8Array.fromBase64)
		return Uint8Array.fromBase64(text);
	const binary = atob(text), bytes = new Uint8Array(binary.length);
	for (let i = 0; i < bytes.length; i++)
		bytes[i] = binary.charCodeAt(i);
	return bytes;
}

function restore(values, how, start) {
	if (how === "difference")
		for (let i = 1; i < values.length; i++)
			values[i] += values[i - 1];
	if (how === "lifetime")
		for (let i = 0; i < values.length; i++)
			if (values[i] !== OPEN)
				values[i] += start[i];
	return values;
}

/* Physical memory has holes. A position counts the frames that are managed, from the lowest address up. */
let memoryFrames = 0;
function placeFrames() {
	for (const zone of meta.zones) {
		zone.position = memoryFrames;
		memoryFrames += zone.frames;
	}
	const { frame } = frames, position = frames.position = new Uint32Array(frame.length);
	for (let i = 0; i < frame.length; i++)
		position[i] = positionOf(frame[i]);
}

function positionOf(frame) {
	for (const zone of meta.zones)
		if (frame >= zone.first && frame < zone.first + zone.frames)
			return zone.position + frame - zone.first;
	return OPEN;
}

function frameAt(position) {
	for (const zone of meta.zones)
		if (position < zone.position + zone.frames)
			return zone.first + position - zone.position;
	const last = meta.zones[meta.zones.length - 1];
	return last.first + last.frames;
}

/* --- Words --- */

const siteName = (site) => meta.siteNames[site] ?? "site " + site;
const cacheName = (cache) => meta.cacheNames[cache] ?? "cache " + cache;

function bytes(count) {
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let unit = 0;
	while (Math.abs(count) >= 1024 && unit < 4) {
		count /= 1024;
		unit++;
	}
	return (unit && Math.abs(count) < 100 ? count.toFixed(1) : Math.round(count)) + " " + units[unit];
}

const counting = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const whole = (count) => counting.format(count);
const percent = (share) => (100 * share).toFixed(share < 0.1 && share > 0 ? 1 : 0) + " %";

/* A time in units, or a length of time; `step` is what must be told apart. */
function time(units, step = 0) {
	if (!meta.unit)
		return whole(units * meta.ticks) + " ticks";
	const seconds = units * meta.unit, scale = Math.max(Math.abs(seconds), 1e-12);
	const [factor, name] = scale >= 1 ? [1, "s"] : scale >= 1e-3 ? [1e3, "ms"] : scale >= 1e-6 ? [1e6, "µs"] : [1e9, "ns"];
	const digits = step ? Math.ceil(-Math.log10(step * meta.unit * factor)) : 3 - Math.ceil(Math.log10(scale * factor + 1e-12));
	return (units ? (seconds * factor).toFixed(Math.min(6, Math.max(0, digits))) : "0") + " " + name;
}

const address = (value) => "0x" + value.toString(16);
const physical = (frame) => address(frame * PAGE);
const blockSize = (order) => bytes(PAGE * 2 ** order);

function objectAddress(row) {
	const base = BigInt(objects.kind[row] === AREA ? meta.areaBase : meta.base);
	return address(BigInt.asUintN(64, base + BigInt(objects.page[row]) * 4096n + BigInt(objects.inside[row])));
}
