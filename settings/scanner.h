/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/scanner.h - lines of a settings file to sections and keys that remember their lines; pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define SCANNER_MAX_BYTES (256 * 1024)
#define SCANNER_MAX_NAME 64

/* What a file may hold. "[kind]" or, when @named, "[kind NAME]". The last rule of a table has kind NULL. */
typedef struct {
	const char *kind;
	bool named;
	const char *keys[64]; /* NULL-terminated */
} ScannerRule;

typedef struct {
	char *key;
	char *value; /* without the blanks around it; may be "" */
	guint line;
} ScannerKey;

typedef struct {
	char *kind;
	char *name; /* NULL unless the rule says named */
	guint line;
	GPtrArray *keys; /* of ScannerKey* */
} ScannerSection;

typedef struct {
	char *file; /* as errors call it */
	GPtrArray *sections; /* of ScannerSection*, in the order of the file */
} ScannerFile;

/* Refuses, with line and reason, everything that is no section, key, comment or blank line, everything @rules do not know, and
 * everything that is there twice. Values are taken as written: there are no escapes. */
ScannerFile *scanner_read(const char *file, const char *text, const ScannerRule *rules, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void scanner_file_free(ScannerFile *file); /* NULL is fine */

/* The first section of @kind, or NULL. */
const ScannerSection *scanner_section(const ScannerFile *file, const char *kind);
/* NULL when the key is not there (or @section is NULL). */
const ScannerKey *scanner_key(const ScannerSection *section, const char *key);

/* Letters, digits, '.', '_', '-', at most SCANNER_MAX_NAME, no leading dot or dash: what may name a thing of ours. */
bool scanner_is_name(const char *text);

/* Sets "<file>:<line>: <reason>" and returns false, for `return`. */
bool scanner_error(GError **error, const char *file, guint line, const char *format, ...) G_GNUC_PRINTF(4, 5);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ScannerFile, scanner_file_free)
