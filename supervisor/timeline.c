/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/timeline.c - transitions with their phases. */
#include "supervisor/timeline.h"

#include <string.h>

#define REPEATED_MAX 32

struct Timeline {
	GPtrArray *records; /* of GVariant* a{sv}, oldest first */
	GVariant *open;     /* the last of them, or NULL */
	GVariantBuilder phases;
	guint n_lines;      /* in the file */
};

static guint64 sequence_of(GVariant *record)
{
	guint64 sequence = 0;
	(void)g_variant_lookup(record, "sequence", "t", &sequence);
	return sequence;
}

/* The same number and the same time: the same transition. (Numbers begin again with each boot.) */
static bool is_same(GVariant *a, GVariant *b)
{
	gint64 a_ms = 0, b_ms = 0;
	(void)g_variant_lookup(a, "time_ms", "x", &a_ms);
	(void)g_variant_lookup(b, "time_ms", "x", &b_ms);
	return sequence_of(a) == sequence_of(b) && a_ms == b_ms;
}

static void keep(Timeline *timeline, GVariant *record)
{
	/* Nearly always the last; after a death the last few lines may be there twice. */
	guint n = timeline->records->len;
	for (guint i = n; i > 0 && i + REPEATED_MAX > n; i--) {
		GVariant **known = (GVariant **)&timeline->records->pdata[i - 1];
		if (!is_same(*known, record))
			continue;
		g_variant_unref(*known);
		*known = g_variant_ref(record);
		return;
	}
	if (timeline->records->len == TIMELINE_MAX)
		g_ptr_array_remove_index(timeline->records, 0);
	g_ptr_array_add(timeline->records, g_variant_ref(record));
}

Timeline *timeline_new(const char *text)
{
	Timeline *timeline = g_new0(Timeline, 1);
	timeline->records = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	for (char **line = lines; *line; line++) {
		if (!**line)
			continue;
		timeline->n_lines++;
		/* The parser takes for granted that its text is UTF-8, which a torn or damaged line need not be. */
		g_autoptr(GVariant) record =
			g_utf8_validate(*line, -1, NULL) ? g_variant_parse(G_VARIANT_TYPE_VARDICT, *line, NULL, NULL, NULL) : NULL;
		if (record)
			keep(timeline, record);
	}
	return timeline;
}

static void forget_open(Timeline *timeline)
{
	if (!timeline->open)
		return;
	g_variant_builder_clear(&timeline->phases);
	g_clear_pointer(&timeline->open, g_variant_unref);
}

void timeline_free(Timeline *timeline)
{
	if (!timeline)
		return;
	forget_open(timeline);
	g_ptr_array_unref(timeline->records);
	g_free(timeline);
}

static char *line_of(Timeline *timeline, GVariant *record)
{
	timeline->n_lines++;
	g_autofree char *text = g_variant_print(record, TRUE);
	return g_strconcat(text, "\n", NULL);
}

char *timeline_begin(Timeline *timeline, const TimelineRecord *record)
{
	forget_open(timeline);
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "device", g_variant_new_string(record->device));
	g_variant_builder_add(&builder, "{sv}", "sequence", g_variant_new_uint64(record->sequence));
	g_variant_builder_add(&builder, "{sv}", "old", g_variant_new_string(record->old));
	g_variant_builder_add(&builder, "{sv}", "new", g_variant_new_string(record->new));
	g_variant_builder_add(&builder, "{sv}", "reason", g_variant_new_string(record->reason));
	g_variant_builder_add(&builder, "{sv}", "term", g_variant_new_uint64(record->term));
	g_variant_builder_add(&builder, "{sv}", "term_id", g_variant_new_string(record->term_id));
	g_variant_builder_add(&builder, "{sv}", "time_ms", g_variant_new_int64(record->time_ms));
	g_variant_builder_add(&builder, "{sv}", "evidence",
			      record->evidence ? record->evidence : g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0));
	timeline->open = g_variant_ref_sink(g_variant_builder_end(&builder));
	g_variant_builder_init(&timeline->phases, G_VARIANT_TYPE("aa{sv}"));
	keep(timeline, timeline->open);
	return line_of(timeline, timeline->open);
}

static void add_phase(GVariantBuilder *phases, const char *name, double begin_ms, double end_ms)
{
	g_variant_builder_open(phases, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(phases, "{sv}", "name", g_variant_new_string(name));
	g_variant_builder_add(phases, "{sv}", "begin_ms", g_variant_new_double(begin_ms));
	g_variant_builder_add(phases, "{sv}", "end_ms", g_variant_new_double(end_ms));
	g_variant_builder_close(phases);
}

void timeline_phase(Timeline *timeline, const char *name, double begin_ms, double end_ms)
{
	if (timeline->open)
		add_phase(&timeline->phases, name, begin_ms, end_ms);
}

/* Transfer full. */
static GVariant *with_evidence(GVariant *record, const char *key, GVariant *value)
{
	g_autoptr(GVariant) evidence = g_variant_lookup_value(record, "evidence", G_VARIANT_TYPE_VARDICT);
	g_autoptr(GVariantDict) inner = g_variant_dict_new(evidence), outer = g_variant_dict_new(record);
	g_variant_dict_insert_value(inner, key, value);
	g_variant_dict_insert_value(outer, "evidence", g_variant_dict_end(inner));
	return g_variant_ref_sink(g_variant_dict_end(outer));
}

char *timeline_end(Timeline *timeline)
{
	if (!timeline->open)
		return NULL;
	g_autoptr(GVariantDict) dictionary = g_variant_dict_new(timeline->open);
	g_variant_dict_insert_value(dictionary, "phases", g_variant_builder_end(&timeline->phases));
	g_autoptr(GVariant) record = g_variant_ref_sink(g_variant_dict_end(dictionary));
	g_clear_pointer(&timeline->open, g_variant_unref);
	keep(timeline, record);
	return line_of(timeline, record);
}

char *timeline_amend(Timeline *timeline, const TimelineAddition *addition)
{
	g_autoptr(GVariant) evidence = addition->evidence ? g_variant_ref_sink(addition->evidence) : NULL, record = NULL;
	guint n = timeline->records->len;
	for (guint i = n; i > 0 && i + REPEATED_MAX > n && !record; i--) {
		GVariant *known = timeline->records->pdata[i - 1];
		gint64 time_ms = 0;
		if (sequence_of(known) == addition->sequence && g_variant_lookup(known, "time_ms", "x", &time_ms) && time_ms == addition->time_ms)
			record = g_variant_ref(known);
	}
	if (!record)
		return NULL;
	bool is_open = record == timeline->open;
	if (addition->phase && is_open) {
		add_phase(&timeline->phases, addition->phase, addition->begin_ms, addition->end_ms);
	} else if (addition->phase) {
		g_autoptr(GVariant) phases = g_variant_lookup_value(record, "phases", G_VARIANT_TYPE("aa{sv}"));
		g_autoptr(GVariantDict) dictionary = g_variant_dict_new(record);
		GVariantBuilder builder;
		g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
		for (gsize i = 0; phases && i < g_variant_n_children(phases); i++) {
			g_autoptr(GVariant) phase = g_variant_get_child_value(phases, i);
			g_variant_builder_add_value(&builder, phase);
		}
		add_phase(&builder, addition->phase, addition->begin_ms, addition->end_ms);
		g_variant_dict_insert_value(dictionary, "phases", g_variant_builder_end(&builder));
		g_variant_unref(record);
		record = g_variant_ref_sink(g_variant_dict_end(dictionary));
	}
	for (gsize i = 0; evidence && i < g_variant_n_children(evidence); i++) {
		g_autoptr(GVariant) before = record, value = NULL;
		const char *key;
		g_variant_get_child(evidence, i, "{&sv}", &key, &value);
		record = with_evidence(before, key, value);
	}
	if (is_open) {
		g_variant_unref(timeline->open);
		timeline->open = g_variant_ref(record);
	}
	keep(timeline, record);
	return line_of(timeline, record);
}

static GVariant *with_phases(GVariant *record)
{
	g_autoptr(GVariant) phases = g_variant_lookup_value(record, "phases", G_VARIANT_TYPE("aa{sv}"));
	if (phases)
		return record;
	g_autoptr(GVariantDict) dictionary = g_variant_dict_new(record);
	g_variant_dict_insert_value(dictionary, "phases", g_variant_new_array(G_VARIANT_TYPE_VARDICT, NULL, 0));
	return g_variant_dict_end(dictionary);
}

GVariant *timeline_list(const Timeline *timeline, guint count)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	guint n = timeline->records->len;
	for (guint i = n > count ? n - count : 0; i < n; i++)
		g_variant_builder_add_value(&builder, with_phases(timeline->records->pdata[i]));
	return g_variant_builder_end(&builder);
}

GVariant *timeline_page(const Timeline *timeline, guint skip, guint count, gsize bytes)
{
	guint end = timeline->records->len - MIN(skip, timeline->records->len), from = end;
	GVariantBuilder builder;
	for (gsize size = 0; from > 0 && end - from < count; from--) {
		g_autoptr(GVariant) record = g_variant_ref_sink(with_phases(timeline->records->pdata[from - 1]));
		size += g_variant_get_size(record) + 16; /* with its place in the array */
		if (size > bytes)
			break;
	}
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = from; i < end; i++)
		g_variant_builder_add_value(&builder, with_phases(timeline->records->pdata[i]));
	return g_variant_builder_end(&builder);
}

static gint by_time(gconstpointer a, gconstpointer b)
{
	gint64 a_ms = 0, b_ms = 0;
	(void)g_variant_lookup(*(GVariant *const *)a, "time_ms", "x", &a_ms);
	(void)g_variant_lookup(*(GVariant *const *)b, "time_ms", "x", &b_ms);
	return a_ms < b_ms ? -1 : a_ms > b_ms;
}

static void add_all(GPtrArray *records, GVariant *list)
{
	for (gsize i = 0; list && i < g_variant_n_children(list); i++)
		g_ptr_array_add(records, g_variant_get_child_value(list, i));
}

GVariant *timeline_merge(GVariant *ours, GVariant *theirs, guint count)
{
	g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	add_all(records, ours);
	add_all(records, theirs);
	g_ptr_array_sort(records, by_time); /* stable: of one device they are in order already */
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = records->len > count ? records->len - count : 0; i < records->len; i++)
		g_variant_builder_add_value(&builder, records->pdata[i]);
	return g_variant_builder_end(&builder);
}

bool timeline_wants_rewrite(const Timeline *timeline)
{
	return timeline->n_lines > 3 * TIMELINE_MAX;
}

char *timeline_text(Timeline *timeline)
{
	GString *text = g_string_new(NULL);
	timeline->n_lines = 0;
	for (guint i = 0; i < timeline->records->len; i++) {
		g_autofree char *line = line_of(timeline, timeline->records->pdata[i]);
		g_string_append(text, line);
	}
	return g_string_free(text, FALSE);
}
