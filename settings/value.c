/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/value.c - one key's text to one typed value, or "<file>:<line>: <reason>"; pure. */
#include "settings/value.h"

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

/* The one at @text, of the key @k. */
static char *read_path(const ScannerFile *file, const ScannerKey *k, const char *text, GError **error)
{
	if (!g_path_is_absolute(text)) {
		scanner_error(error, file->file, k->line, "\"%s\" is an absolute path, not \"%s\"", k->key, text);
		return NULL;
	}
	g_autofree char *path = g_strdup(text);
	gsize n = strlen(path);
	if (n > 1 && path[n - 1] == '/')
		path[n - 1] = '\0';
	g_auto(GStrv) parts = g_strsplit(path + 1, "/", -1);
	for (guint i = 0; parts[i]; i++)
		if (g_str_equal(parts[i], "..") || g_str_equal(parts[i], ".") || (!*parts[i] && path[1])) {
			scanner_error(error, file->file, k->line, "\"%s\" is a path without \".\", \"..\" and \"//\", not \"%s\"", k->key, text);
			return NULL;
		}
	return g_steal_pointer(&path);
}

bool value_path(const ScannerFile *file, const ScannerSection *section, const char *key, char **ret_path, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	if (!k)
		return true;
	char *path = read_path(file, k, k->value, error);
	if (!path)
		return false;
	g_free(*ret_path);
	*ret_path = path;
	return true;
}

bool value_paths(const ScannerFile *file, const ScannerSection *section, const char *key, char ***ret_paths, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	value_list(section, key, ",; \t", ret_paths);
	for (guint i = 0; k && (*ret_paths)[i]; i++) {
		char *path = read_path(file, k, (*ret_paths)[i], error);
		if (!path)
			return false;
		g_free((*ret_paths)[i]);
		(*ret_paths)[i] = path;
	}
	return true;
}

/* "IPv4", or "IPv4 or IPv6" when both will do. */
static const char *family_text(sa_family_t family)
{
	return family == AF_INET ? "IPv4" : family == AF_INET6 ? "IPv6" : "IPv4 or IPv6";
}

static bool is_host(const IpAddress *ip)
{
	static const guint8 zeros[16], loopback[16] = { [15] = 1 }, mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (ip_is_multicast(ip))
		return false;
	if (ip->family == AF_INET)
		return ip->bytes[0] != 0 && ip->bytes[0] < 0xe0;
	return memcmp(ip->bytes, zeros, 16) != 0 && memcmp(ip->bytes, loopback, 16) != 0 && memcmp(ip->bytes, mapped, 12) != 0;
}

/* Any address of @family, a network's too. */
static bool parse_ip(const char *text, sa_family_t family, IpAddress *ret_ip, char **ret_reason)
{
	IpAddress ip;

	if (strchr(text, ':') && strchr(text, '%'))
		*ret_reason = g_strdup_printf("\"%s\": addresses are written without a zone (\"%s\")", text, strchr(text, '%'));
	else if (!ip_parse(text, &ip))
		*ret_reason = g_strdup_printf("\"%s\" is no %s address", text, family_text(family));
	else if (family != AF_UNSPEC && ip.family != family)
		*ret_reason = g_strdup_printf("\"%s\" is an %s address, not an %s one", text, family_text(ip.family), family_text(family));
	else {
		*ret_ip = ip;
		return true;
	}
	return false;
}

bool value_parse_host(const char *text, sa_family_t family, IpAddress *ret_ip, char **ret_reason)
{
	IpAddress ip;

	if (!parse_ip(text, family, &ip, ret_reason))
		return false;
	if (!is_host(&ip)) {
		*ret_reason = g_strdup_printf("%s is no address of a device", text);
		return false;
	}
	*ret_ip = ip;
	return true;
}

/* "a.b.c.d/n" or "a::b/n" into its two halves. */
static bool split_prefix(const char *text, sa_family_t family, char **ret_host, guint *ret_prefix, char **ret_reason)
{
	const char *slash = strchr(text, '/');
	g_autofree char *host = g_strndup(text, strcspn(text, "/"));
	guint64 prefix;

	if (!slash || !g_ascii_string_to_unsigned(slash + 1, 10, 1, strchr(host, ':') ? 128 : 32, &prefix, NULL)) {
		*ret_reason = g_strdup_printf("\"%s\" is no %s address with its prefix length, such as %s", text, family_text(family),
					      family == AF_INET6 || (family == AF_UNSPEC && strchr(host, ':')) ? "2001:db8::10/64" : "192.0.2.10/24");
		return false;
	}
	*ret_host = g_steal_pointer(&host);
	*ret_prefix = (guint)prefix;
	return true;
}

/* Whether all bits of @ip behind @prefix are @ones (or zeros). Behind the last one: yes. */
static bool rest_is(const IpAddress *ip, guint prefix, bool ones)
{
	for (guint i = prefix; i < 8 * ip_length(ip); i++)
		if ((ip->bytes[i / 8] >> (7 - i % 8) & 1) != ones)
			return false;
	return true;
}

bool value_parse_address(const char *text, sa_family_t family, SettingsAddress *ret_address, char **ret_reason)
{
	g_autofree char *host = NULL;
	char normal[IP_TEXT_SIZE];
	guint prefix;
	IpAddress ip;

	if (!split_prefix(text, family, &host, &prefix, ret_reason) || !value_parse_host(host, family, &ip, ret_reason))
		return false;
	if (ip.family == AF_INET && prefix < 31 && (rest_is(&ip, prefix, false) || rest_is(&ip, prefix, true))) {
		*ret_reason = g_strdup_printf("%s is the %s address of its network, no device's", host,
					      rest_is(&ip, prefix, true) ? "broadcast" : "first");
		return false;
	}
	if (ip.family == AF_INET6 && prefix < 127 && rest_is(&ip, prefix, false)) {
		*ret_reason = g_strdup_printf("%s is the anycast address of its network's routers, no device's", host);
		return false;
	}
	if (ip.family == AF_INET6 && ip_is_link_local(&ip) && prefix != 64 && prefix != 128) {
		*ret_reason = g_strdup_printf("%s is link-local: its prefix length is 64, not %u", host, prefix);
		return false;
	}
	*ret_address = (SettingsAddress){
		.text = g_strdup_printf("%s/%u", ip_text(&ip, normal), prefix),
		.host = g_strdup(ip_text(&ip, normal)),
		.ip = ip,
		.prefix = prefix,
	};
	return true;
}

bool value_parse_route(const char *text, char **ret_route, char **ret_reason)
{
	g_auto(GStrv) all = g_strsplit_set(text, " \t", -1);
	const char *word[4] = { NULL };
	char normal[IP_TEXT_SIZE], to[IP_TEXT_SIZE];
	guint n = 0;
	for (guint i = 0; all[i]; i++)
		if (*all[i] && n < G_N_ELEMENTS(word))
			word[n++] = all[i];
	if (n != 3 || !g_str_equal(word[1], "via")) {
		*ret_reason = g_strdup_printf("\"%s\" is no route: \"default via ADDRESS\" or \"NETWORK/PREFIX via ADDRESS\"", text);
		return false;
	}

	IpAddress gateway;
	if (!value_parse_host(word[2], AF_UNSPEC, &gateway, ret_reason))
		return false;
	if (g_str_equal(word[0], "default")) {
		*ret_route = g_strdup_printf("default via %s", ip_text(&gateway, normal));
		return true;
	}
	g_autofree char *host = NULL;
	guint prefix;
	IpAddress network;
	if (!split_prefix(word[0], gateway.family, &host, &prefix, ret_reason) || !parse_ip(host, AF_UNSPEC, &network, ret_reason))
		return false;
	if (network.family != gateway.family) {
		*ret_reason = g_strdup_printf("%s is %s, and its gateway %s is %s", word[0], family_text(network.family), word[2],
					      family_text(gateway.family));
		return false;
	}
	if (!rest_is(&network, prefix, false)) {
		*ret_reason = g_strdup_printf("%s is no network: bits are set beyond its prefix", word[0]);
		return false;
	}
	if (!is_host(&network)) {
		*ret_reason = g_strdup_printf("%s is no network of devices", word[0]);
		return false;
	}
	*ret_route = g_strdup_printf("%s/%u via %s", ip_text(&network, to), prefix, ip_text(&gateway, normal));
	return true;
}
