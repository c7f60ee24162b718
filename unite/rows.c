/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unite/rows.c - the rows of a table of a SQLite database that another database of the same kind has more. */
#include <gio/gio.h>
#include <sqlite3.h>
#include <string.h>

#include "unite/unite.h"

enum { BUSY_MS = 5000 };

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3, sqlite3_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3_stmt, sqlite3_finalize)

static bool failed(sqlite3 *db, const char *what, GError **error)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s", what, sqlite3_errmsg(db));
	return false;
}

static char *quoted(const char *name)
{
	g_auto(GStrv) parts = g_strsplit(name, "\"", -1);
	g_autofree char *doubled = g_strjoinv("\"\"", parts);

	return g_strdup_printf("\"%s\"", doubled);
}

/* A copy that nobody changes, in a place where nothing can be written. */
static bool attach(sqlite3 *db, const char *path, const char *as, GError **error)
{
	g_autofree char *uri = g_filename_to_uri(path, NULL, error);
	g_autofree char *whole = uri ? g_strconcat(uri, "?immutable=1", NULL) : NULL, *sql = g_strdup_printf("ATTACH ?1 AS %s", as);
	g_autoptr(sqlite3_stmt) statement = NULL;

	if (!whole)
		return false;
	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_bind_text(statement, 1, whole, -1, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_DONE)
		return failed(db, path, error);
	return true;
}

/* The columns of @table in @schema. @ret_number: the one that is only the row's number, when there is one. NULL: no such table. */
static GPtrArray *columns_of(sqlite3 *db, const char *schema, const char *table, char **ret_number)
{
	g_autoptr(GPtrArray) columns = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *name = quoted(table), *sql = g_strdup_printf("PRAGMA %s.table_info(%s)", schema, name), *number = NULL;
	g_autoptr(sqlite3_stmt) statement = NULL;
	guint keys = 0;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		return NULL;
	while (sqlite3_step(statement) == SQLITE_ROW) {
		const char *column = (const char *)sqlite3_column_text(statement, 1), *type = (const char *)sqlite3_column_text(statement, 2);

		if (sqlite3_column_int(statement, 5) > 0 && ++keys == 1 && type && g_ascii_strcasecmp(type, "integer") == 0)
			number = g_strdup(column);
		g_ptr_array_add(columns, g_strdup(column));
	}
	if (ret_number)
		*ret_number = keys == 1 ? g_steal_pointer(&number) : NULL;
	return columns->len ? g_steal_pointer(&columns) : NULL;
}

static bool has(GPtrArray *columns, const char *name)
{
	return g_ptr_array_find_with_equal_func(columns, name, g_str_equal, NULL);
}

/* "x.\"a\" IS y.\"a\" AND …" */
static char *equality(GPtrArray *columns, const char *x, const char *y)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < columns->len; i++) {
		g_autofree char *name = quoted(columns->pdata[i]);

		g_string_append_printf(text, "%s%s.%s IS %s.%s", i ? " AND " : "", x, name, y, name);
	}
	return g_string_free(text, FALSE);
}

static char *listing(GPtrArray *columns, const char *prefix)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < columns->len; i++) {
		g_autofree char *name = quoted(columns->pdata[i]);

		g_string_append_printf(text, "%s%s%s", i ? ", " : "", prefix, name);
	}
	return g_string_free(text, FALSE);
}

static bool add_rows(sqlite3 *db, const char *table, const char *identity, bool has_base, UniteCount *count, GError **error)
{
	g_autofree char *number = NULL, *name = quoted(table);
	g_autoptr(GPtrArray) here = columns_of(db, "main", table, &number), theirs = columns_of(db, "theirs", table, NULL);
	g_autoptr(GPtrArray) before = has_base ? columns_of(db, "base", table, NULL) : NULL;
	g_autoptr(GPtrArray) known_by = g_ptr_array_new(), copied = g_ptr_array_new();
	g_auto(GStrv) words = g_strsplit(identity ? identity : "", ",", -1);
	bool all_before = before != NULL;

	if (!here || !theirs) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "there is no table %s %s", table, here ? "in the other device's database" : "here");
		return false;
	}
	for (guint i = 0; words[i]; i++) {
		if (!has(here, words[i]) || !has(theirs, words[i])) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "table %s has no column %s", table, words[i]);
			return false;
		}
		g_ptr_array_add(known_by, words[i]);
	}
	for (guint i = 0; i < here->len; i++) {
		char *column = here->pdata[i];

		if (!has(theirs, column) || (g_strcmp0(column, number) == 0 && !has(known_by, column)))
			continue;
		g_ptr_array_add(copied, column);
	}
	for (guint i = 0; !*words && i < copied->len; i++)
		g_ptr_array_add(known_by, copied->pdata[i]);
	for (guint i = 0; i < known_by->len; i++)
		all_before = all_before && has(before, known_by->pdata[i]);
	g_autofree char *into = listing(copied, ""), *from = listing(copied, "t.");
	g_autofree char *as_here = equality(known_by, "m", "t"), *as_before = equality(known_by, "b", "t");
	g_autoptr(GString) sql = g_string_new(NULL);
	g_string_append_printf(sql, "INSERT INTO main.%s (%s) SELECT %s FROM theirs.%s AS t WHERE NOT EXISTS (SELECT 1 FROM main.%s AS m WHERE %s)", name, into,
			       from, name, name, as_here);
	if (all_before)
		g_string_append_printf(sql, " AND NOT EXISTS (SELECT 1 FROM base.%s AS b WHERE %s)", name, as_before);
	if (sqlite3_exec(db, sql->str, NULL, NULL, NULL) != SQLITE_OK)
		return failed(db, table, error);
	count->rows += (guint)sqlite3_changes(db);
	return true;
}

bool unite_rows(const UnitePlace *place, const char *table, const char *columns, UniteCount *count, GError **error)
{
	g_autofree char *name = g_path_get_basename(place->live);
	g_autofree char *theirs = g_build_filename(place->theirs, name, NULL), *base = g_build_filename(place->base, name, NULL);
	bool has_base = g_file_test(base, G_FILE_TEST_IS_REGULAR);
	g_autoptr(sqlite3) db = NULL;

	if (!g_file_test(theirs, G_FILE_TEST_IS_REGULAR))
		return true;
	if (sqlite3_open_v2(place->live, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
		return failed(db, place->live, error);
	sqlite3_busy_timeout(db, BUSY_MS);
	if (!attach(db, theirs, "theirs", error) || (has_base && !attach(db, base, "base", error)))
		return false;
	if (sqlite3_exec(db, "PRAGMA synchronous=FULL; BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return failed(db, place->live, error);
	/* An end without COMMIT changes nothing. */
	if (!add_rows(db, table, columns, has_base, count, error))
		return false;
	return sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK || failed(db, place->live, error);
}
