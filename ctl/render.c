/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/render.c - values as text for people. */
#include "render.h"

#include <math.h>
#include <string.h>

static const char *escape_of(RenderColour colour)
{
	switch (colour) {
	case RENDER_PLAIN:
		return "";
	case RENDER_BOLD:
		return "\033[1m";
	case RENDER_DIM:
		return "\033[2m";
	case RENDER_GOOD:
		return "\033[32m";
	case RENDER_WARNING:
		return "\033[33m";
	case RENDER_BAD:
		return "\033[31m";
	case RENDER_INFO:
		return "\033[36m";
	}
	return "";
}

char *render_coloured(const RenderStyle *style, RenderColour colour, const char *text)
{
	if (!style->colour || colour == RENDER_PLAIN)
		return g_strdup(text);
	return g_strconcat(escape_of(colour), text, "\033[0m", NULL);
}

char *render_clean(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *clean = g_string_sized_new(strlen(valid));

	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		bool reverses = (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);

		if (c == '\n' || c == '\t')
			g_string_append_c(clean, ' ');
		else if (g_unichar_iscntrl(c) || reverses)
			g_string_append_c(clean, '?');
		else
			g_string_append_unichar(clean, c);
	}
	return g_string_free(clean, FALSE);
}

static guint char_columns(gunichar c)
{
	return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

guint render_columns(const char *text)
{
	guint columns = 0;

	for (const char *p = text; *p; p = g_utf8_next_char(p))
		columns += char_columns(g_utf8_get_char(p));
	return columns;
}

char *render_age(gint64 age_ms)
{
	gint64 s;

	if (age_ms < 0)
		age_ms = 0;
	if (age_ms < 1000)
		return g_strdup_printf("%" G_GINT64_FORMAT " ms", age_ms);
	s = age_ms / 1000;
	if (s < 60)
		return g_strdup_printf("%" G_GINT64_FORMAT " s", s);
	if (s < 3600)
		return g_strdup_printf("%" G_GINT64_FORMAT " min %" G_GINT64_FORMAT " s", s / 60, s % 60);
	if (s < 86400)
		return g_strdup_printf("%" G_GINT64_FORMAT " h %" G_GINT64_FORMAT " min", s / 3600, s % 3600 / 60);
	return g_strdup_printf("%" G_GINT64_FORMAT " d %" G_GINT64_FORMAT " h", s / 86400, s % 86400 / 3600);
}

char *render_time(gint64 time_ms, GTimeZone *zone, bool milliseconds)
{
	g_autoptr(GDateTime) utc = time_ms > 0 ? g_date_time_new_from_unix_utc(time_ms / 1000) : NULL;
	g_autoptr(GDateTime) local = utc ? g_date_time_to_timezone(utc, zone) : NULL;
	g_autofree char *text = local ? g_date_time_format(local, "%Y-%m-%d %H:%M:%S") : NULL;

	if (!text)
		return g_strdup("-");
	if (!milliseconds)
		return g_steal_pointer(&text);
	return g_strdup_printf("%s.%03d", text, (int)(time_ms % 1000));
}

char *render_hash(const char *hash)
{
	return hash && *hash ? g_strndup(hash, 8) : g_strdup("-");
}

char *render_duration(double ms)
{
	return ms < 10000 ? g_strdup_printf("%.1f ms", ms) : g_strdup_printf("%.2f s", ms / 1000);
}

static void append_blocks(GString *text, const RenderStyle *style, guint n)
{
	while (n--)
		g_string_append(text, style->utf8 ? "▇" : "#");
}

static void append_spaces(GString *text, guint n)
{
	while (n--)
		g_string_append_c(text, ' ');
}

char *render_bar(const RenderStyle *style, double fraction, guint width)
{
	GString *text = g_string_new("[");
	guint full = isnan(fraction) ? 0 : (guint)floor(CLAMP(fraction, 0.0, 1.0) * width);

	append_blocks(text, style, full);
	append_spaces(text, width - full);
	g_string_append_c(text, ']');
	return g_string_free(text, FALSE);
}

char *render_span(const RenderStyle *style, double begin, double end, double from, double to, guint width)
{
	GString *text = g_string_new(NULL);
	double scale = to > from ? width / (to - from) : 0;
	double last = width - 1;
	guint first = (guint)CLAMP(floor((begin - from) * scale), 0, last);
	guint past = (guint)CLAMP(round((end - from) * scale), 0, (double)width);

	if (past <= first)
		past = first + 1;
	append_spaces(text, first);
	append_blocks(text, style, past - first);
	append_spaces(text, width - past);
	return g_string_free(text, FALSE);
}

char *render_snake_case(const char *name)
{
	GString *snake = g_string_new(NULL);

	for (const char *p = name; *p; p++) {
		if (g_ascii_isupper(*p) && p != name)
			g_string_append_c(snake, '_');
		g_string_append_c(snake, g_ascii_tolower(*p));
	}
	return g_string_free(snake, FALSE);
}

RenderColour render_role_colour(const char *role)
{
	if (g_str_equal(role, "master"))
		return RENDER_GOOD;
	if (g_str_equal(role, "backup"))
		return RENDER_INFO;
	if (g_str_equal(role, "fault"))
		return RENDER_BAD;
	if (g_str_equal(role, "standalone"))
		return RENDER_PLAIN;
	return RENDER_WARNING; /* on the way from one to another, or unknown */
}

RenderColour render_application_colour(const char *state)
{
	if (g_str_equal(state, "running"))
		return RENDER_GOOD;
	if (g_str_equal(state, "failed"))
		return RENDER_BAD;
	if (g_str_equal(state, "stopped"))
		return RENDER_DIM;
	return RENDER_WARNING;
}

RenderColour render_priority_colour(guint priority)
{
	return priority >= 3 ? RENDER_BAD : priority == 2 ? RENDER_WARNING : RENDER_PLAIN;
}

/* ---- Tables ---- */

typedef struct {
	char *text;
	RenderColour colour;
} Cell;

struct RenderTable {
	guint n_columns;
	GArray *cells; /* of Cell, row by row */
};

static void clear_cell(gpointer cell)
{
	g_free(((Cell *)cell)->text);
}

RenderTable *render_table_new(guint n_columns)
{
	RenderTable *table = g_new0(RenderTable, 1);

	table->n_columns = n_columns;
	table->cells = g_array_new(FALSE, FALSE, sizeof(Cell));
	g_array_set_clear_func(table->cells, clear_cell);
	return table;
}

void render_table_free(RenderTable *table)
{
	if (!table)
		return;
	g_array_unref(table->cells);
	g_free(table);
}

void render_table_add(RenderTable *table, RenderColour colour, const char *text)
{
	Cell cell = { render_clean(text), colour };

	g_array_append_val(table->cells, cell);
}

void render_table_addf(RenderTable *table, RenderColour colour, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	render_table_add(table, colour, text);
}

/* The part of *text that fits @columns, broken at a space when there is one; *text moves behind it. */
static char *take_line(const char **text, guint columns)
{
	const char *p = *text, *space = NULL;
	guint used = 0;
	char *line;

	while (*p) {
		guint next = char_columns(g_utf8_get_char(p));

		if (used + next > columns && p != *text)
			break;
		if (*p == ' ' && p != *text)
			space = p;
		used += next;
		p = g_utf8_next_char(p);
	}
	if (*p && *p != ' ' && space)
		p = space;
	line = g_strndup(*text, (gsize)(p - *text));
	while (*p == ' ')
		p++;
	*text = p;
	return line;
}

static void append_cell(GString *out, const RenderStyle *style, RenderColour colour, const char *text)
{
	g_autofree char *coloured = *text ? render_coloured(style, colour, text) : g_strdup("");

	g_string_append(out, coloured);
}

/* The last column, wrapped below its beginning at @column. */
static void append_last(GString *out, const RenderStyle *style, const Cell *cell, guint column)
{
	const char *rest = cell->text;
	guint room = style->width > column + 20 ? style->width - column : 0;

	if (!room || render_columns(rest) <= room) {
		append_cell(out, style, cell->colour, rest);
		return;
	}
	for (bool first = true; *rest; first = false) {
		g_autofree char *line = take_line(&rest, room);

		if (!first) {
			g_string_append_c(out, '\n');
			append_spaces(out, column);
		}
		append_cell(out, style, cell->colour, line);
	}
}

char *render_table_text(const RenderTable *table, const RenderStyle *style, guint indent)
{
	GString *out = g_string_new(NULL);
	g_autofree guint *widths = g_new0(guint, table->n_columns);

	for (guint i = 0; i < table->cells->len; i++) {
		guint columns = render_columns(g_array_index(table->cells, Cell, i).text);

		widths[i % table->n_columns] = MAX(widths[i % table->n_columns], columns);
	}
	for (guint i = 0; i < table->cells->len; i += table->n_columns) {
		guint at = indent, n = MIN(table->n_columns, table->cells->len - i);

		/* No trailing blanks: a row ends with its last cell that says something. */
		while (n > 1 && !*g_array_index(table->cells, Cell, i + n - 1).text)
			n--;
		append_spaces(out, indent);
		for (guint c = 0; c < n; c++) {
			const Cell *cell = &g_array_index(table->cells, Cell, i + c);

			if (c == table->n_columns - 1) {
				append_last(out, style, cell, at);
				break;
			}
			append_cell(out, style, cell->colour, cell->text);
			if (c < n - 1)
				append_spaces(out, widths[c] + 2 - render_columns(cell->text));
			at += widths[c] + 2;
		}
		g_string_append_c(out, '\n');
	}
	return g_string_free(out, FALSE);
}
