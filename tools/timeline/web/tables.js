/*
 * Tables that sort: a click on a column's heading, which is a button, sorts by it; a second one turns the order. Numbers start
 * with the largest. A row can be chosen with the mouse, or with Enter.
 */

class Table {
	/* columns: {name, key, show(value, row), text: bool}; key may be a function of the row. */
	constructor(id, columns, { sort, chosen, choose, limit = 200 }) {
		Object.assign(this, { box: document.getElementById(id), columns, choose, chosen, limit, rows: [], wanted: "", lines: new Map() });
		this.sort = columns.findIndex((column) => column.name === sort);
		this.down = !columns[this.sort].text;
		this.table = document.createElement("table");
		this.head = this.table.createTHead().insertRow();
		this.body = this.table.createTBody();
		columns.forEach((column, i) => this.head.append(this.heading(column, i)));
		this.box.append(this.table);
	}

	heading(column, i) {
		const cell = document.createElement("th"), button = document.createElement("button");
		cell.scope = "col";
		cell.className = column.text ? "text" : "";
		button.type = "button";
		button.dataset.name = column.name;
		if (column.note)
			button.title = column.note;
		button.addEventListener("click", () => {
			this.down = this.sort === i ? !this.down : !column.text;
			this.sort = i;
			this.draw();
		});
		cell.append(button);
		return cell;
	}

	set(rows) {
		this.rows = rows;
		this.draw();
	}

	value(row, column) {
		return typeof column.key === "function" ? column.key(row) : row[column.key];
	}

	draw() {
		const column = this.columns[this.sort], sign = this.down ? -1 : 1;
		const kept = this.rows.filter((row) => !this.wanted || (row.name + " " + (row.what ?? "")).toLowerCase().includes(this.wanted));
		const sorted = kept.map((row) => [this.value(row, column), row])
			.sort(([a], [b]) => sign * (a < b ? -1 : a > b ? 1 : 0)).map(([, row]) => row);
		[...this.head.cells].forEach((cell, i) => {
			cell.setAttribute("aria-sort", i !== this.sort ? "none" : this.down ? "descending" : "ascending");
			cell.firstChild.textContent = this.columns[i].name + (i !== this.sort ? "" : this.down ? " ▾" : " ▴");
		});
		const lines = sorted.slice(0, this.limit).map((row) => this.line(row));
		if (!sorted.length || sorted.length > this.limit)
			lines.push(this.remark(sorted.length ? whole(sorted.length - this.limit) + " more; filter or sort to see them" : "none"));
		const focus = document.activeElement;
		if (lines.length !== this.body.rows.length || lines.some((line, i) => line !== this.body.rows[i]))
			this.body.replaceChildren(...lines);
		if (focus !== document.activeElement && this.body.contains(focus))
			focus.focus();
	}

	remark(text) {
		const row = document.createElement("tr"), cell = row.insertCell();
		cell.colSpan = this.columns.length;
		cell.className = "text empty";
		cell.textContent = text;
		return row;
	}

	/* A row's line, made once; later only what has changed in it is written. */
	line(row) {
		const line = this.lines.get(row.key) ?? this.newLine(row);
		this.columns.forEach((column, i) => {
			const value = this.value(row, column), shown = column.show ? column.show(value, row) : String(value), cell = line.cells[i];
			if (shown instanceof Element ? !cell.firstChild : cell.textContent !== shown)
				cell.replaceChildren(shown);
		});
		if (this.choose)
			line.setAttribute("aria-selected", this.chosen(row));
		return line;
	}

	newLine(row) {
		const line = document.createElement("tr");
		for (const column of this.columns) {
			const cell = line.insertCell();
			cell.className = column.text ? "text" : "";
			if (column.text)
				cell.title = this.value(row, column);
		}
		if (this.choose) {
			line.tabIndex = 0;
			line.addEventListener("click", () => this.choose(row));
			line.addEventListener("keydown", (event) => {
				if (event.key === "Enter")
					this.choose(row);
			});
		}
		this.lines.set(row.key, line);
		return line;
	}
}

function badge(verdict) {
	const element = document.createElement("span");
	element.className = "badge" + (verdict === "grows steadily" ? " steady" : verdict === "grows" ? " grows" : "");
	element.textContent = verdict;
	return element;
}

function sparkline(counts) {
	const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), most = Math.max(...counts, 1);
	svg.setAttribute("class", "spark");
	svg.setAttribute("viewBox", "0 0 110 20");
	svg.setAttribute("role", "img");
	svg.setAttribute("aria-label", "live objects over time: " + counts.join(", "));
	const path = document.createElementNS(svg.namespaceURI, "path");
	path.setAttribute("d", counts.map((count, i) => (i ? "L" : "M") + (2 + 106 * i / (counts.length - 1)).toFixed(1) + " " + (18 - 16 * count / most).toFixed(1)).join(""));
	svg.append(path);
	return svg;
}

const tables = {};
const keyed = (rows) => rows.map((row) => ({ ...row, key: row.what + " " + row.site }));
const sameSite = (row) => view.site?.key === row.key;
const chooseSite = (row) => setView({ site: sameSite(row) ? null : row });

function defineTables() {
	tables.leaks = new Table("leaks", [
		{ name: "Call site", key: "name", text: true }, { name: "Of", key: "what", text: true },
		{ name: "Verdict", key: (row) => ["stays", "grows", "grows steadily"].indexOf(row.verdict) * 1e15 + row.bytes, show: (_, row) => badge(row.verdict),
			note: "steadily: live objects rose in half of 16 parts of the recording or more, and never fell" },
		{ name: "Live objects over time", key: "rises", show: (_, row) => sparkline(row.counts) },
		{ name: "Alive at the end", key: "bytes", show: bytes }, { name: "Objects", key: "objects", show: whole },
		{ name: "Rises", key: "rises" }, { name: "Falls", key: "falls" },
		{ name: "Oldest", key: "oldest", show: (value) => time(value) }, { name: "Median age", key: "median_age", show: (value) => time(value) }],
	{ sort: "Verdict", chosen: sameSite, choose: chooseSite });
	tables.leaks.set(keyed(meta.figures.leaks));
	tables.sites = new Table("sites", [
		{ name: "Call site", key: "name", text: true }, { name: "Of", key: "what", text: true },
		{ name: "Live now", key: "now", show: bytes, note: "at the slider's time" }, { name: "Objects now", key: "objects_now", show: whole },
		{ name: "Peak", key: "peak_bytes", show: bytes }, { name: "Peak at", key: "peak_time", show: (value) => time(value) },
		{ name: "Allocations", key: "allocations", show: whole }, { name: "Frees", key: "frees", show: whole },
		{ name: "Bytes in all", key: "bytes", show: bytes }, { name: "Live at the end", key: "live_bytes", show: bytes }],
	{ sort: "Live at the end", chosen: sameSite, choose: chooseSite });
	tables.caches = new Table("caches", [
		{ name: "Cache", key: "name", text: true }, { name: "Object size", key: "object_size", show: bytes },
		{ name: "Objects", key: "objects", show: whole, note: "those from before the recording included" },
		{ name: "Slabs' memory", key: "memory", show: bytes }, { name: "Occupancy", key: "share", show: (value) => value < 0 ? "–" : percent(value) },
		{ name: "Allocations", key: "allocations", show: whole }, { name: "Frees", key: "frees", show: whole },
		{ name: "Peak", key: "peak_bytes", show: bytes, note: "of objects made in the recording" }],
	{ sort: "Slabs' memory" });
	tables.objects = new Table("objects", [
		{ name: "Address", key: "name", text: true }, { name: "Size", key: "size", show: bytes }, { name: "In", key: "cache", text: true },
		{ name: "Made at", key: "start", show: (value) => value ? time(value) : "before" },
		{ name: "Age", key: (row) => view.t - row.start, show: (value) => time(value) },
		{ name: "Freed at", key: "until", show: (value) => value === OPEN ? "never" : time(value) }],
	{ sort: "Age", chosen: () => false, choose: findOnMap });
	document.getElementById("sites-filter").addEventListener("input", (event) => {
		tables.sites.wanted = event.target.value.toLowerCase().trim();
		tables.sites.draw();
	});
}

/* What a call site holds at the slider's time: the oldest first, which are those that leaked. A row is found on the map. */
const MOST_OBJECTS = 200;

/* The rows of objects, or of frames, that are a call site's at a time. */
function rowsOfSite({ site, what }, t) {
	const table = what === "objects" ? objects : frames, rows = [];
	for (let i = 0; i < table.start.length; i++)
		if (table.site[i] === site && table.start[i] <= t && t < table.end[i] && (table === objects || table.what[i] === PAGES))
			rows.push(i);
	return rows.sort((a, b) => table.start[a] - table.start[b]);
}

function objectRow(i) {
	const kind = objects.kind[i];
	return { key: i, name: objectAddress(i), start: objects.start[i], size: objects.size[i], until: objects.end[i],
		cache: kind === OBJECT ? cacheName(objects.cache[i]) : kind === AREA ? "vmalloc" : "pages of its own",
		position: meta.placed && kind !== AREA ? positionOf(objects.page[i]) : OPEN };
}

function pagesRow(i) {
	return { key: i, name: physical(frames.frame[i]), start: frames.start[i], size: frames.frames[i] * PAGE, until: frames.end[i],
		cache: "pages", position: frames.position[i] };
}

function drawObjects() {
	document.getElementById("objects-panel").hidden = !view.site;
	if (!view.site)
		return;
	const rows = rowsOfSite(view.site, view.t);
	document.getElementById("objects-note").textContent = whole(rows.length) + " of " + view.site.name +
		(rows.length > MOST_OBJECTS ? ", the " + MOST_OBJECTS + " oldest" : "") + "; a row is shown on the map of memory";
	tables.objects.lines.clear();
	tables.objects.set(rows.slice(0, MOST_OBJECTS).map(view.site.what === "objects" ? objectRow : pagesRow));
}

function findOnMap(row) {
	if (row.position === OPEN)
		return;
	const cells = map.columns * map.rows;
	showMemory(row.position - cells / 2, row.position + cells / 2);
	map.wanted = row.position;
	drawMap();
	showWords();
	map.canvas.scrollIntoView({ block: "center" });
	map.canvas.focus({ preventScroll: true });
}

/* What depends on the slider's time. */
function drawTables() {
	const { live, count } = sitesAt(view.t);
	tables.sites.set(keyed(meta.figures.sites).map((row) => ({ ...row, now: live.get(row.key) || 0, objects_now: count.get(row.key) || 0 })));
	tables.caches.set(cachesAt(view.t));
}

function cachesAt(t) {
	const live = new Map(), pages = new Map();
	for (let i = 0; i < objects.start.length; i++)
		if (objects.kind[i] === OBJECT && objects.start[i] <= t && t < objects.end[i])
			live.set(objects.cache[i], (live.get(objects.cache[i]) || 0) + 1);
	eachRowAt(t, 0, memoryFrames, (i) => {
		if (frames.what[i] === SLAB)
			pages.set(frames.cache[i], (pages.get(frames.cache[i]) || 0) + frames.frames[i]);
	});
	return meta.figures.caches.map((row) => {
		const here = (live.get(row.cache) || 0) + (meta.baseline[row.cache]?.[0] || 0), memory = (pages.get(row.cache) || 0) * PAGE;
		return { ...row, key: row.cache, objects: here, memory, share: memory ? Math.min(1, here * row.object_size / memory) : -1 };
	});
}
