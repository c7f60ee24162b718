/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl/render.h - values as text for people: tables, bars, ages, times. Pure: what the terminal can do is passed in.
 *
 * Texts that came over the bus are cleaned here before they reach a terminal: whoever raised an event must not be able to move the cursor of
 * the administrator who reads it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* What the output can do. */
typedef struct {
	bool colour;
	bool utf8;   /* else bars are drawn with '#' */
	guint width; /* columns; 0: not a terminal, nothing is wrapped */
} RenderStyle;

typedef enum {
	RENDER_PLAIN,
	RENDER_BOLD,
	RENDER_DIM,
	RENDER_GOOD,    /* green */
	RENDER_WARNING, /* yellow */
	RENDER_BAD,     /* red */
	RENDER_INFO,    /* cyan */
} RenderColour;

/* @text within the colour's escape sequences, when there is colour. */
char *render_coloured(const RenderStyle *style, RenderColour colour, const char *text);

/* Without control characters and what reverses text; line breaks and tabs become spaces. */
char *render_clean(const char *text);

/* Columns that @text takes on a terminal. */
guint render_columns(const char *text);

/* "850 ms", "12 s", "3 min 12 s", "2 h 5 min", "4 d 1 h". Negative counts as 0. */
char *render_age(gint64 age_ms);

/* "2026-11-22 10:39:44", with ".123" when @milliseconds; "-" for 0 and below. */
char *render_time(gint64 time_ms, GTimeZone *zone, bool milliseconds);

/* The first 8 digits of a commit or hash; "-" for none. */
char *render_hash(const char *hash);

/* "123.4 ms", "12.35 s" */
char *render_duration(double ms);

/* [▇▇▇▇      ] of @width columns between the brackets; @fraction is clamped to 0..1. */
char *render_bar(const RenderStyle *style, double fraction, guint width);

/* @begin..@end drawn within @from..@to over @width columns; never empty, however short. Padded with spaces to @width. */
char *render_span(const RenderStyle *style, double begin, double end, double from, double to, guint width);

/* "RoleSinceMs" as "role_since_ms" */
char *render_snake_case(const char *name);

RenderColour render_role_colour(const char *role);
RenderColour render_application_colour(const char *state);
RenderColour render_priority_colour(guint priority);

/* ---- Tables ---- */

typedef struct RenderTable RenderTable;

RenderTable *render_table_new(guint n_columns);
void render_table_free(RenderTable *table); /* NULL is fine */

/* The next cell, cleaned; rows fill up from the left. */
void render_table_add(RenderTable *table, RenderColour colour, const char *text);
void render_table_addf(RenderTable *table, RenderColour colour, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Lines with @indent spaces before each; the last column is wrapped at the style's width. */
char *render_table_text(const RenderTable *table, const RenderStyle *style, guint indent);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RenderTable, render_table_free)
