/*
 * What is looked at: a time `t`, a part of time [from, to], a part of memory [low, high) in positions, and a call site.
 * setView() changes some of it and draws once before the next picture what depends on what has changed.
 */

const view = { t: 0, from: 0, to: 1, low: 0, high: 1, site: null };
const watchers = []; /* [names, function] */
let changed = new Set();

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function setView(change) {
	for (const [name, value] of Object.entries(change))
		if (view[name] !== value) {
			view[name] = value;
			if (!changed.size)
				requestAnimationFrame(drawChanged);
			changed.add(name);
		}
}

function onView(names, draw) {
	watchers.push([names.split(" "), draw]);
}

function drawChanged() {
	const names = changed;
	changed = new Set();
	for (const [wanted, draw] of watchers)
		if (wanted.some((name) => names.has(name)))
			draw();
}

const goTo = (t) => setView({ t: Math.round(clamp(t, 0, meta.span)) });

function showTime(from, to) {
	const length = clamp(to - from, Math.min(16, meta.span), meta.span);
	from = clamp(from, 0, meta.span - length);
	setView({ from, to: from + length });
}

/* factor < 1 looks closer; `at` stays where it is. */
function zoomTime(factor, at = view.t >= view.from && view.t <= view.to ? view.t : (view.from + view.to) / 2) {
	showTime(at - (at - view.from) * factor, at + (view.to - at) * factor);
}

const moveTime = (share) => showTime(view.from + (view.to - view.from) * share, view.to + (view.to - view.from) * share);

function showMemory(low, high) {
	const length = Math.round(clamp(high - low, Math.min(64, memoryFrames), memoryFrames));
	low = Math.round(clamp(low, 0, memoryFrames - length));
	setView({ low, high: low + length });
}

function zoomMemory(factor, at) {
	showMemory(at - (at - view.low) * factor, at + (view.high - at) * factor);
}
