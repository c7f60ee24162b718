/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings/value.h - one key's text to one typed value, or "<file>:<line>: <reason>"; pure.
 *
 * Every reader leaves its output as it is when the key is not there, so that the caller sets defaults first.
 */
#pragma once

#include "settings/ip.h"
#include "settings/scanner.h"
#include "settings/settings.h"

bool value_bool(const ScannerFile *file, const ScannerSection *section, const char *key, bool *ret_value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool value_uint(const ScannerFile *file, const ScannerSection *section, const char *key, guint min, guint max, guint *ret_value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool value_uint64(const ScannerFile *file, const ScannerSection *section, const char *key, guint64 *ret_value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* One of @words (NULL-terminated); its index. */
bool value_word(const ScannerFile *file, const ScannerSection *section, const char *key, const char *const *words, guint *ret_index, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Any text; replaces *ret_value. */
void value_text(const ScannerSection *section, const char *key, char **ret_value);
/* A name as of scanner_is_name(). */
bool value_name(const ScannerFile *file, const ScannerSection *section, const char *key, char **ret_value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Words by shell quoting (no expansion); the first must be an absolute path when @program. Empty: "\0" list. */
bool value_words(const ScannerFile *file, const ScannerSection *section, const char *key, bool program, char ***ret_words, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Items separated by any of @separators, blanks around them stripped, empty ones dropped. */
void value_list(const ScannerSection *section, const char *key, const char *separators, char ***ret_list);
/* An absolute path without "." or ".." or empty parts; a "/" at the end goes. */
bool value_path(const ScannerFile *file, const ScannerSection *section, const char *key, char **ret_path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Any number of them. */
bool value_paths(const ScannerFile *file, const ScannerSection *section, const char *key, char ***ret_paths, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* False, with an error that names @key at the section's line, when it is not there or empty. */
bool value_require(const ScannerFile *file, const ScannerSection *section, const char *key, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @family AF_UNSPEC takes both. Outputs are filled only on success. */
/* "192.0.2.10", "fe80::1": a host's address; no zone. */
bool value_parse_host(const char *text, sa_family_t family, IpAddress *ret_ip, char **ret_reason);
/* "192.0.2.10/24", "2001:db8::10/64": a host in its network. */
bool value_parse_address(const char *text, sa_family_t family, SettingsAddress *ret_address, char **ret_reason);
/* "default via 203.0.113.1", "2001:db8:5::/48 via fe80::1": normalised text. */
bool value_parse_route(const char *text, char **ret_route, char **ret_reason);
