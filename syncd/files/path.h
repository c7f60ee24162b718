/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/path.h - which names and paths may travel, and how they are written in text files. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The manifest of a folder, beside its files in the tree. A file of this name in a data set does not travel. */
#define SYNC_MANIFEST_NAME ".syncmeta"

/* Our own files inside a data set (staging, things put aside) begin with this; they never travel either. */
#define SYNC_OWN_PREFIX ".understudy-"

/* One component: not empty, ".", "..", ".git" in any case, over 255 bytes, and without '/'. Any other byte may occur. */
bool sync_name_ok(const char *name) G_GNUC_WARN_UNUSED_RESULT;

/* A relative path of such components; "" is the set's own folder and is right too. At most 4096 bytes and 64 components. */
bool sync_path_ok(const char *path) G_GNUC_WARN_UNUSED_RESULT;

/* Names that exist in a data set but are not part of it. */
bool sync_name_is_ours(const char *name);

/* Whether @path (relative, without trailing '/') matches a pattern of @exclude. A pattern without '/' is compared with the last component,
 * one with '/' with the whole path; a leading '/' only anchors. NULL excludes nothing. */
bool sync_path_excluded(const char *path, const char *const *exclude);

/* Whether @path, or a folder it lies in, matches a pattern of @include. NULL or empty includes everything. */
bool sync_path_included(const char *path, const char *const *include);

/* "dir" + "name", either of which may be empty. Transfer full. */
char *sync_path_join(const char *dir, const char *name);

/* The folder that holds @path: "a/b" -> "a", "a" -> "". Transfer full. */
char *sync_path_parent(const char *path);
const char *sync_path_last(const char *path); /* "a/b" -> "b"; borrowed */

/* Blanks, control bytes, '%' and bytes over 0x7e as %XX, so that a name is one word of a text line. An empty string becomes "%". */
char *sync_escape(const char *text);
char *sync_unescape(const char *word, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* refuses %00 and half escapes */

/* @text as valid UTF-8 without control characters, for messages and the bus. Transfer full. */
char *sync_printable(const char *text);
