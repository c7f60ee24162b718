/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/rights.c - what a command may do and use, and how one finds out whether it works; pure. */
#include "settings/settings-private.h"

#include <arpa/inet.h>
#include <cap-ng.h>
#include <string.h>

#include "settings/value.h"

static bool read_capabilities(const ScannerFile *file, const ScannerSection *section, const char *name, bool *ret_has, int **ret_list,
			      gsize *ret_n, GError **error)
{
	const ScannerKey *key = scanner_key(section, name);
	g_auto(GStrv) words = NULL;
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(int));
	if (!key)
		return true;
	value_list(section, name, ",; \t", &words);
	for (guint i = 0; words[i]; i++) {
		g_autofree char *lower = g_ascii_strdown(words[i], -1);
		int number = g_str_has_prefix(lower, "cap_") ? capng_name_to_capability(lower + strlen("cap_")) : -1;
		if (number < 0)
			return scanner_error(error, file->file, key->line, "\"%s\" is a list such as CAP_NET_BIND_SERVICE, CAP_SYS_NICE; there is no \"%s\"",
					     name, words[i]);
		g_array_append_val(list, number);
	}
	*ret_has = true;
	*ret_n = list->len;
	*ret_list = (int *)(void *)g_array_free(g_steal_pointer(&list), FALSE);
	return true;
}

/* "1024", "512M", "unlimited". */
static bool read_limit(const ScannerFile *file, const ScannerSection *section, const char *name, bool bytes, gint64 *ret_limit, GError **error)
{
	const ScannerKey *key = scanner_key(section, name);
	*ret_limit = SETTINGS_LIMIT_UNSET;
	if (!key)
		return true;
	if (g_str_equal(key->value, "unlimited")) {
		*ret_limit = SETTINGS_LIMIT_UNLIMITED;
		return true;
	}
	gsize n = strlen(key->value);
	const char *units = "KMG", *unit = n && bytes ? strchr(units, key->value[n - 1]) : NULL;
	g_autofree char *digits = g_strndup(key->value, unit ? n - 1 : n);
	guint shift = unit ? 10 * (guint)(unit - units + 1) : 0;
	guint64 number;
	if (!g_ascii_string_to_unsigned(digits, 10, 0, (guint64)G_MAXINT64 >> shift, &number, NULL))
		return scanner_error(error, file->file, key->line, "\"%s\" is a number%s or \"unlimited\", not \"%s\"", name,
				     bytes ? " of bytes (K, M, G)" : "", key->value);
	*ret_limit = (gint64)(number << shift);
	return true;
}

static bool read_int(const ScannerFile *file, const ScannerSection *section, const char *name, int min, int max, int *ret_value, GError **error)
{
	const ScannerKey *key = scanner_key(section, name);
	gint64 value;
	if (!key)
		return true;
	if (!g_ascii_string_to_signed(key->value, 10, min, max, &value, NULL))
		return scanner_error(error, file->file, key->line, "\"%s\" is a number from %d to %d, not \"%s\"", name, min, max, key->value);
	*ret_value = (int)value;
	return true;
}

bool rights_read(SettingsRights *rights, const ScannerFile *file, const ScannerSection *section, bool unit, GError **error)
{
	static const char *const keys[] = { "capabilities", "capability-bounds", "nofile", "nproc", "core", "memlock", "memory-max",
					    "nice", "oom-score-adj", "realtime" };
	for (guint i = 0; unit && i < G_N_ELEMENTS(keys); i++) {
		const ScannerKey *key = scanner_key(section, keys[i]);
		if (key)
			return scanner_error(error, file->file, key->line, "\"%s\" is for a command; a unit has its own", keys[i]);
	}
	if (!read_capabilities(file, section, "capabilities", &rights->has_capabilities, &rights->capabilities, &rights->n_capabilities, error) ||
	    !read_capabilities(file, section, "capability-bounds", &rights->has_bounds, &rights->bounds, &rights->n_bounds, error))
		return false;
	for (gsize i = 0; rights->has_bounds && i < rights->n_capabilities; i++) {
		gsize k = 0;
		while (k < rights->n_bounds && rights->bounds[k] != rights->capabilities[i])
			k++;
		if (k == rights->n_bounds)
			return scanner_error(error, file->file, scanner_key(section, "capability-bounds")->line,
					     "\"capability-bounds\" lacks cap_%s, which \"capabilities\" has",
					     capng_capability_to_name((unsigned)rights->capabilities[i]));
	}
	return read_limit(file, section, "nofile", false, &rights->nofile, error) &&
	       read_limit(file, section, "nproc", false, &rights->nproc, error) &&
	       read_limit(file, section, "core", true, &rights->core, error) &&
	       read_limit(file, section, "memlock", true, &rights->memlock, error) &&
	       read_limit(file, section, "memory-max", true, &rights->memory_max, error) &&
	       read_int(file, section, "nice", -20, 19, &rights->nice, error) &&
	       read_int(file, section, "oom-score-adj", -1000, 1000, &rights->oom_score_adj, error) &&
	       read_int(file, section, "realtime", 0, 99, &rights->realtime, error);
}

/* ---- Checks ---- */

/* "5060", "192.0.2.10:5060", "[2001:db8::10]:5060", each with "udp " or "tcp " before it. */
static bool parse_address(const char *text, SettingsCheck *ret_check)
{
	bool tcp = g_str_has_prefix(text, "tcp ");
	if (tcp || g_str_has_prefix(text, "udp "))
		text += strlen("tcp ");
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
	g_autofree char *host = colon ? g_strndup(text, (gsize)(colon - text)) : NULL;
	gsize n = host ? strlen(host) : 0;
	guint8 parsed[16];
	guint64 number;
	if (!g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL))
		return false;
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		memmove(host, host + 1, n - 1);
		if (inet_pton(AF_INET6, host, parsed) != 1)
			return false;
	} else if (host && inet_pton(AF_INET, host, parsed) != 1) {
		return false;
	}
	ret_check->tcp = tcp;
	ret_check->host = g_steal_pointer(&host);
	ret_check->port = (guint)number;
	return true;
}

bool check_read(SettingsCheck *ret_check, const char *name, SettingsCheckKind kind, const ScannerFile *file, const ScannerSection *section,
		GError **error)
{
	g_autofree char *command_name = g_strconcat(name, "-command", NULL), *address_name = g_strconcat(name, "-address", NULL);
	const ScannerKey *own = scanner_key(section, name), *command = scanner_key(section, command_name);
	const ScannerKey *address = scanner_key(section, address_name);
	bool by_command = kind == SETTINGS_CHECK_COMMAND, by_address = kind == SETTINGS_CHECK_PORT || kind == SETTINGS_CHECK_SIP;

	ret_check->kind = kind;
	if (!value_words(file, section, command_name, true, &ret_check->command, error))
		return false;
	if (by_command && !command)
		return scanner_error(error, file->file, own->line, "\"%s=command\" needs the key \"%s\"", name, command_name);
	if (!by_command && command)
		return scanner_error(error, file->file, command->line, "\"%s\" is for \"%s=command\" only", command_name, name);
	if (by_address && !address)
		return scanner_error(error, file->file, own->line, "\"%s=%s\" needs the key \"%s\"", name, own->value, address_name);
	if (!by_address && address)
		return scanner_error(error, file->file, address->line, "\"%s\" is for \"%s=port\" and \"%s=sip-options\" only", address_name, name,
				     name);
	if (address && !parse_address(address->value, ret_check))
		return scanner_error(error, file->file, address->line,
				     "\"%s\" is a port, or an address and a port, such as \"udp 192.0.2.10:5060\" or \"tcp [::1]:5060\", not \"%s\"",
				     address_name, address->value);
	return true;
}
