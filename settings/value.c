/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/value.c - one key's text to one typed value, or "<file>:<line>: <reason>"; pure. */
#include "settings/value.h"

#include <arpa/inet.h>
#include <string.h>

bool value_require(const ScannerFile *file, const ScannerSection *section, const char *key, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	if (!k)
		return scanner_error(error, file->file, section->line, "section [%s%s%s] needs the key \"%s\"", section->kind,
				     section->name ? " " : "", section->name ?: "", key);
	if (!*k->value)
		return scanner_error(error, file->file, k->line, "\"%s\" has no value", key);
	return true;
}

bool value_bool(const ScannerFile *file, const ScannerSection *section, const char *key, bool *ret_value, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	if (!k)
		return true;
	if (g_str_equal(k->value, "true") || g_str_equal(k->value, "1"))
		*ret_value = true;
	else if (g_str_equal(k->value, "false") || g_str_equal(k->value, "0"))
		*ret_value = false;
	else
		return scanner_error(error, file->file, k->line, "\"%s\" is true or false, not \"%s\"", key, k->value);
	return true;
}

bool value_uint(const ScannerFile *file, const ScannerSection *section, const char *key, guint min, guint max, guint *ret_value,
		GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	guint64 value;
	if (!k)
		return true;
	if (!g_ascii_string_to_unsigned(k->value, 10, min, max, &value, NULL))
		return scanner_error(error, file->file, k->line, "\"%s\" is a number from %u to %u, not \"%s\"", key, min, max, k->value);
	*ret_value = (guint)value;
	return true;
}

bool value_uint64(const ScannerFile *file, const ScannerSection *section, const char *key, guint64 *ret_value, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	guint64 value;
	if (!k)
		return true;
	if (!g_ascii_string_to_unsigned(k->value, 10, 0, G_MAXUINT64, &value, NULL))
		return scanner_error(error, file->file, k->line, "\"%s\" is a whole number, not \"%s\"", key, k->value);
	*ret_value = value;
	return true;
}

bool value_word(const ScannerFile *file, const ScannerSection *section, const char *key, const char *const *words, guint *ret_index,
		GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	if (!k)
		return true;
	for (guint i = 0; words[i]; i++)
		if (g_str_equal(k->value, words[i])) {
			*ret_index = i;
			return true;
		}
	g_autofree char *all = g_strjoinv(", ", (char **)words);
	return scanner_error(error, file->file, k->line, "\"%s\" is one of %s, not \"%s\"", key, all, k->value);
}

void value_text(const ScannerSection *section, const char *key, char **ret_value)
{
	const ScannerKey *k = scanner_key(section, key);
	if (!k)
		return;
	g_free(*ret_value);
	*ret_value = g_strdup(k->value);
}

bool value_name(const ScannerFile *file, const ScannerSection *section, const char *key, char **ret_value, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	if (!k)
		return true;
	if (!scanner_is_name(k->value))
		return scanner_error(error, file->file, k->line,
				     "\"%s\" is letters, digits, \".\", \"_\" and \"-\", at most %u, beginning with a letter, a digit or \"_\", not \"%s\"",
				     key, SCANNER_MAX_NAME, k->value);
	g_free(*ret_value);
	*ret_value = g_strdup(k->value);
	return true;
}

bool value_words(const ScannerFile *file, const ScannerSection *section, const char *key, bool program, char ***ret_words, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	if (!k)
		return true;

	g_auto(GStrv) words = NULL;
	g_autoptr(GError) shell = NULL;
	if (!*k->value)
		words = g_new0(char *, 1);
	else if (!g_shell_parse_argv(k->value, NULL, &words, &shell))
		return scanner_error(error, file->file, k->line, "\"%s\" cannot be split into words: %s", key, shell->message);
	if (program && (!words[0] || !g_path_is_absolute(words[0])))
		return scanner_error(error, file->file, k->line, "\"%s\" begins with the absolute path of a program, not \"%s\"", key,
				     words[0] ?: "");
	g_strfreev(*ret_words);
	*ret_words = g_steal_pointer(&words);
	return true;
}

void value_list(const ScannerSection *section, const char *key, const char *separators, char ***ret_list)
{
	const ScannerKey *k = scanner_key(section, key);
	if (!k)
		return;
	g_autoptr(GPtrArray) items = g_ptr_array_new();
	g_auto(GStrv) parts = g_strsplit_set(k->value, separators, -1);
	for (guint i = 0; parts[i]; i++)
		if (*g_strstrip(parts[i]))
			g_ptr_array_add(items, g_strdup(parts[i]));
	g_ptr_array_add(items, NULL);
	g_strfreev(*ret_list);
	*ret_list = (char **)g_ptr_array_free(g_steal_pointer(&items), FALSE);
}

bool value_path(const ScannerFile *file, const ScannerSection *section, const char *key, char **ret_path, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	if (!k)
		return true;
	if (!g_path_is_absolute(k->value))
		return scanner_error(error, file->file, k->line, "\"%s\" is an absolute path, not \"%s\"", key, k->value);

	g_autofree char *path = g_strdup(k->value);
	gsize n = strlen(path);
	if (n > 1 && path[n - 1] == '/')
		path[n - 1] = '\0';
	g_auto(GStrv) parts = g_strsplit(path + 1, "/", -1);
	for (guint i = 0; parts[i]; i++)
		if (g_str_equal(parts[i], "..") || g_str_equal(parts[i], ".") || (!*parts[i] && path[1]))
			return scanner_error(error, file->file, k->line, "\"%s\" is a path without \".\", \"..\" and \"//\", not \"%s\"", key, k->value);
	g_free(*ret_path);
	*ret_path = g_steal_pointer(&path);
	return true;
}

bool value_parse_host(const char *text, guint32 *ret_ipv4_be, char **ret_reason)
{
	struct in_addr in;
	if (inet_pton(AF_INET, text, &in) != 1) {
		*ret_reason = g_strdup_printf("\"%s\" is no IPv4 address", text);
		return false;
	}
	guint32 host = ntohl(in.s_addr);
	if (host >> 24 == 0 || host >= 0xe0000000) {
		*ret_reason = g_strdup_printf("%s is no address of a device", text);
		return false;
	}
	*ret_ipv4_be = in.s_addr;
	return true;
}

/* "a.b.c.d/n" into its two halves. */
static bool split_prefix(const char *text, guint min, char **ret_host, guint *ret_prefix, char **ret_reason)
{
	const char *slash = strchr(text, '/');
	guint64 prefix;
	if (!slash || !g_ascii_string_to_unsigned(slash + 1, 10, min, 32, &prefix, NULL)) {
		*ret_reason = g_strdup_printf("\"%s\" is no IPv4 address with its prefix length, such as 192.0.2.10/24", text);
		return false;
	}
	*ret_host = g_strndup(text, (gsize)(slash - text));
	*ret_prefix = (guint)prefix;
	return true;
}

static guint32 host_mask(guint prefix)
{
	return prefix == 0 ? 0xffffffff : prefix == 32 ? 0 : 0xffffffffu >> prefix;
}

bool value_parse_address(const char *text, SettingsAddress *ret_address, char **ret_reason)
{
	g_autofree char *host = NULL;
	guint prefix;
	guint32 ipv4_be;
	if (!split_prefix(text, 1, &host, &prefix, ret_reason) || !value_parse_host(host, &ipv4_be, ret_reason))
		return false;

	guint32 mask = host_mask(prefix), bits = ntohl(ipv4_be) & mask;
	if (prefix < 31 && (bits == 0 || bits == mask)) {
		*ret_reason = g_strdup_printf("%s is the %s address of its network, no device's", host, bits ? "broadcast" : "first");
		return false;
	}
	*ret_address = (SettingsAddress){
		.text = g_strdup_printf("%s/%u", host, prefix),
		.host = g_steal_pointer(&host),
		.ipv4_be = ipv4_be,
		.prefix = prefix,
	};
	return true;
}

bool value_parse_route(const char *text, char **ret_route, char **ret_reason)
{
	g_auto(GStrv) all = g_strsplit_set(text, " \t", -1);
	const char *word[4] = { NULL };
	guint n = 0;
	for (guint i = 0; all[i]; i++)
		if (*all[i] && n < G_N_ELEMENTS(word))
			word[n++] = all[i];
	if (n != 3 || !g_str_equal(word[1], "via")) {
		*ret_reason = g_strdup_printf("\"%s\" is no route: \"default via ADDRESS\" or \"NETWORK/PREFIX via ADDRESS\"", text);
		return false;
	}

	guint32 gateway;
	if (!value_parse_host(word[2], &gateway, ret_reason))
		return false;
	if (!g_str_equal(word[0], "default")) {
		g_autofree char *host = NULL;
		guint prefix;
		guint32 network;
		if (!split_prefix(word[0], 1, &host, &prefix, ret_reason) || !value_parse_host(host, &network, ret_reason))
			return false;
		if (ntohl(network) & host_mask(prefix)) {
			*ret_reason = g_strdup_printf("%s is no network: bits are set beyond its prefix", word[0]);
			return false;
		}
	}
	*ret_route = g_strdup_printf("%s via %s", word[0], word[2]);
	return true;
}
