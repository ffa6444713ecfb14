/*
 * Curves over the part of time that is looked at, from all rows. A row counts at the samples in [start, end): each adds +1
 * where it begins and -1 where it ends, and one running sum makes the curves. O(rows + samples).
 */

class Curves {
	constructor(from, to, samples) {
		this.from = from;
		this.samples = samples;
		this.step = (to - from) / (samples - 1);
		this.times = Float64Array.from({ length: samples }, (_, i) => from + i * this.step);
		this.lanes = [];
	}

	lane() {
		const lane = new Float64Array(this.samples + 1);
		this.lanes.push(lane);
		return lane;
	}

	/* The first sample at or after a time. */
	at(t) {
		return t === OPEN ? this.samples : clamp(Math.ceil((t - this.from) / this.step - 1e-9), 0, this.samples);
	}

	sum() {
		for (const lane of this.lanes)
			for (let i = 1; i < this.samples; i++)
				lane[i] += lane[i - 1];
		return this;
	}
}

function computeSeries(from, to, samples) {
	const curves = new Curves(from, to, samples), series = { times: curves.times, step: curves.step };
	addFrames(curves, series);
	addObjects(curves, series);
	curves.sum();
	addFragmentation(series, samples);
	addOccupancy(series, samples);
	addRates(curves, series);
	return series;
}

function addFrames(curves, series) {
	const { start, end, frames: count, what, cache } = frames;
	const blocks = series.freeBlocks = Array.from({ length: ORDERS }, () => curves.lane());
	const byWhat = series.pages = Array.from({ length: 5 }, () => curves.lane());
	const slabs = series.slabPages = new Map();
	for (let i = 0; i < start.length; i++) {
		const a = curves.at(start[i]), b = curves.at(end[i]);
		if (a >= b)
			continue;
		add(byWhat[what[i]], a, b, count[i]);
		if (what[i] === FREE)
			add(blocks[31 - Math.clz32(count[i])], a, b, 1);
		else if (what[i] === SLAB)
			add(laneOf(slabs, cache[i], curves), a, b, count[i]);
	}
}

function add(lane, a, b, weight) {
	lane[a] += weight;
	lane[b] -= weight;
}

function laneOf(map, key, curves) {
	if (!map.has(key))
		map.set(key, curves.lane());
	return map.get(key);
}

function addObjects(curves, series) {
	const { start, end, size, kind, cache } = objects;
	const byKind = series.live = [curves.lane(), curves.lane(), curves.lane()];
	const byCache = series.cacheObjects = new Map();
	for (let i = 0; i < start.length; i++) {
		const a = curves.at(start[i]), b = curves.at(end[i]);
		if (a >= b)
			continue;
		add(byKind[kind[i]], a, b, size[i]);
		if (kind[i] === OBJECT)
			add(laneOf(byCache, cache[i], curves), a, b, 1);
	}
	for (const [number, [count, size_]] of Object.entries(meta.baseline)) {
		add(byKind[OBJECT], 0, curves.samples, size_);
		add(laneOf(byCache, +number, curves), 0, curves.samples, count);
	}
}

/* For each order: the share of free memory in blocks too small for it; and the largest free block. */
function addFragmentation(series, samples) {
	series.unusable = Array.from({ length: ORDERS }, () => new Float64Array(samples));
	series.largest = new Float64Array(samples).fill(NaN);
	for (let i = 0; i < samples; i++) {
		const free = series.pages[FREE][i];
		for (let order = 0, small = 0; order < ORDERS; order++) {
			series.unusable[order][i] = free ? small / free : 1;
			small += series.freeBlocks[order][i] * 2 ** order;
			if (series.freeBlocks[order][i])
				series.largest[i] = order;
		}
	}
}

function addOccupancy(series, samples) {
	series.occupancy = new Map();
	for (const [cache, pages] of series.slabPages) {
		const live = series.cacheObjects.get(cache), size = meta.objectSizes[cache] || 0;
		if (live && size)
			series.occupancy.set(cache, Float64Array.from({ length: samples },
				(_, i) => pages[i] ? Math.min(1, live[i] * size / (pages[i] * PAGE)) : NaN));
	}
}

/* Events a second (or a unit of time) between two samples. */
function addRates(curves, series) {
	const per = 1 / (curves.step * (meta.unit || meta.ticks));
	const count = (times, wanted) => {
		const rate = new Float64Array(curves.samples);
		for (let i = 0; i < times.length; i++)
			if (times[i] > curves.from && wanted(i)) {
				const at = Math.ceil((times[i] - curves.from) / curves.step);
				if (at < curves.samples)
					rate[at] += per;
			}
		rate[0] = curves.samples > 1 ? rate[1] : 0;
		return rate;
	};
	const { end, what, cache } = frames, pages = (i) => what[i] >= PAGES && what[i] !== SLAB;
	series.rates = {
		"allocations": count(objects.start, () => true), "frees": count(objects.end, (i) => objects.end[i] !== OPEN),
		"page blocks allocated": count(frames.start, pages), "page blocks freed": count(end, (i) => end[i] !== OPEN && pages(i)),
		"splits": count(marks.time, (i) => marks.kind[i] === 18), "merges": count(marks.time, (i) => marks.kind[i] === 19) };
}

/* The rows of a call site: of objects, or of pages that were asked for. */
function eachOfSite({ site, what }, visit) {
	if (what === "objects") {
		for (let i = 0; i < objects.site.length; i++)
			if (objects.site[i] === site)
				visit(objects.start[i], objects.end[i], objects.size[i]);
	} else {
		for (let i = 0; i < frames.site.length; i++)
			if (frames.site[i] === site && frames.what[i] === PAGES)
				visit(frames.start[i], frames.end[i], frames.frames[i] * PAGE);
	}
}

function computeSite(chosen, from, to, samples) {
	const curves = new Curves(from, to, samples), live = curves.lane(), count = curves.lane();
	eachOfSite(chosen, (start, end, size) => {
		const a = curves.at(start), b = curves.at(end);
		add(live, a, b, size);
		add(count, a, b, 1);
	});
	curves.sum();
	return { live, count };
}

/* Bytes and objects of every call site at a time: two maps by "objects 7". */
function sitesAt(t) {
	const live = new Map(), count = new Map();
	const put = (key, size) => {
		live.set(key, (live.get(key) || 0) + size);
		count.set(key, (count.get(key) || 0) + 1);
	};
	const bySite = new Float64Array(65536), counts = new Uint32Array(65536);
	for (let i = 0; i < objects.start.length; i++)
		if (objects.start[i] <= t && t < objects.end[i]) {
			bySite[objects.site[i]] += objects.size[i];
			counts[objects.site[i]]++;
		}
	for (let site = 0; site < 65536; site++)
		if (counts[site]) {
			live.set("objects " + site, bySite[site]);
			count.set("objects " + site, counts[site]);
		}
	for (let i = 0; i < frames.start.length; i++)
		if (frames.site[i] && frames.what[i] === PAGES && frames.start[i] <= t && t < frames.end[i])
			put("pages " + frames.site[i], frames.frames[i] * PAGE);
	return { live, count };
}
