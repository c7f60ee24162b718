/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/notify.c - the sections of pair.conf that say who is told what, and how: targets and rules; pure. */
#include <string.h>

#include "settings/settings-private.h"
#include "settings/value.h"

#define MAX_TARGETS 64
#define MAX_RECIPIENTS 64 /* of one target or rule */
#define MAX_ADDRESS 254
#define MAX_PATTERN 64 /* as long as what it is compared with */
#define MAX_TEMPLATE 2048
#define DIGITS "0123456789"

const char *const settings_target_kinds[SETTINGS_N_TARGET_KINDS + 1] = { "mail", "sms", "snmp", "led", "display", NULL };

void settings_target_free(gpointer data)
{
	SettingsTarget *target = data;

	g_free(target->name);
	g_free(target->id);
	g_strfreev(target->to);
	g_strfreev(target->keys);
	g_free(target);
}

void settings_rule_free(gpointer data)
{
	SettingsRule *rule = data;

	g_free(rule->name);
	g_strfreev(rule->applications);
	g_strfreev(rule->names);
	g_ptr_array_unref(rule->targets);
	g_strfreev(rule->to);
	g_free(rule);
}

static SettingsTarget *target_new(SettingsTargetKind kind, const char *name)
{
	SettingsTarget *target = g_new0(SettingsTarget, 1);

	target->kind = kind;
	target->name = g_strdup(name);
	target->id = *name ? g_strdup_printf("%s:%s", settings_target_kinds[kind], name) : g_strdup(settings_target_kinds[kind]);
	target->to = g_new0(char *, 1);
	target->keys = g_new0(char *, 1);
	return target;
}

void notify_set_defaults(Settings *settings)
{
	settings->events_keep = 10000;
	settings->events_keep_days = 0;
	g_ptr_array_add(settings->targets, target_new(SETTINGS_TARGET_DISPLAY, ""));
}

const SettingsTarget *settings_target(const Settings *settings, const char *id)
{
	for (guint i = 0; i < settings->targets->len; i++) {
		const SettingsTarget *target = g_ptr_array_index(settings->targets, i);

		if (g_str_equal(target->id, id))
			return target;
	}
	return NULL;
}

const char *settings_target_key(const SettingsTarget *target, const char *key)
{
	for (char **pair = target->keys; *pair; pair += 2)
		if (g_str_equal(pair[0], key))
			return pair[1];
	return NULL;
}

/* A mailbox as it stands in an envelope: no display name, no quoting, nothing that means something to a header or a list. */
static bool is_mail_address(const char *text)
{
	const char *at = strchr(text, '@');

	if (!at || at == text || !at[1] || strchr(at + 1, '@') || strlen(text) > MAX_ADDRESS)
		return false;
	for (const char *c = text; *c; c++)
		if (g_ascii_isspace(*c) || g_ascii_iscntrl(*c) || strchr("<>()[]\\\",;:", *c))
			return false;
	/* The first character must mean nothing to a sendmail command: no option, file or pipe. */
	return !strchr("-/|", *text) && !strchr(".-", at[1]);
}

static bool is_number(const char *text)
{
	gsize plus = *text == '+', digits = strspn(text + plus, DIGITS);

	return digits >= 3 && digits <= 20 && !text[plus + digits];
}

static bool suits(SettingsTargetKind kind, const char *recipient)
{
	switch (kind) {
	case SETTINGS_TARGET_MAIL:
		return is_mail_address(recipient);
	case SETTINGS_TARGET_SMS:
		return is_number(recipient);
	case SETTINGS_TARGET_SNMP:
	case SETTINGS_TARGET_LED:
	case SETTINGS_TARGET_DISPLAY:
	case SETTINGS_N_TARGET_KINDS:
		break;
	}
	return false;
}

char **settings_recipients(SettingsTargetKind kind, const char *const *list)
{
	GPtrArray *some = g_ptr_array_new();

	for (; *list; list++)
		if (suits(kind, *list))
			g_ptr_array_add(some, g_strdup(*list));
	g_ptr_array_add(some, NULL);
	return (char **)g_ptr_array_free(some, FALSE);
}

/* No item of @list is there twice, and there are not too many. */
static bool check_list(const ScannerFile *file, const ScannerKey *key, char **list, GError **error)
{
	if (!*list)
		return scanner_error(error, file->file, key->line, "\"%s\" has no value", key->key);
	for (guint i = 0; list[i]; i++) {
		if (i == MAX_RECIPIENTS)
			return scanner_error(error, file->file, key->line, "\"%s\" has at most %u items", key->key, MAX_RECIPIENTS);
		for (guint j = 0; j < i; j++)
			if (g_str_equal(list[j], list[i]))
				return scanner_error(error, file->file, key->line, "\"%s\" has %s twice", key->key, list[i]);
	}
	return true;
}

static bool read_recipients(SettingsTarget *target, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const ScannerKey *key = scanner_key(section, "to");

	if (!value_require(file, section, "to", error))
		return false;
	value_list(section, "to", ",; \t", &target->to);
	for (char **each = target->to; *each; each++)
		if (!suits(target->kind, *each))
			return scanner_error(error, file->file, key->line,
					     target->kind == SETTINGS_TARGET_MAIL ? "\"%s\" is no mail address, such as boss@example.com"
										  : "\"%s\" is no telephone number: digits, with or without \"+\"",
					     *each);
	return check_list(file, key, target->to, error);
}

/* The words of a file are checked where they stand; what a program gets is this list, defaults included. */
static void add_key(GPtrArray *keys, const char *key, const char *value)
{
	if (!value)
		return;
	g_ptr_array_add(keys, g_strdup(key));
	g_ptr_array_add(keys, g_strdup(value));
}

/* One of @words; the first is the default. */
static bool add_word(GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, const char *key, const char *const *words,
		     guint *ret_index, GError **error)
{
	*ret_index = 0;
	if (!value_word(file, section, key, words, ret_index, error))
		return false;
	add_key(keys, key, words[*ret_index]);
	return true;
}

static bool add_uint(GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, const char *key, guint min, guint max,
		     guint value, guint *ret_value, GError **error)
{
	g_autofree char *text = NULL;

	*ret_value = value;
	if (!value_uint(file, section, key, min, max, ret_value, error))
		return false;
	text = g_strdup_printf("%u", *ret_value);
	add_key(keys, key, text);
	return true;
}

/* A name of ours, when it is there. */
static bool add_name(GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, const char *key, GError **error)
{
	g_autofree char *name = NULL;

	if (!value_name(file, section, key, &name, error))
		return false;
	add_key(keys, key, name);
	return true;
}

static bool add_text(GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, const char *key, gsize max, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);

	if (!k)
		return true;
	if (!*k->value)
		return scanner_error(error, file->file, k->line, "\"%s\" has no value", key);
	if (strlen(k->value) > max)
		return scanner_error(error, file->file, k->line, "\"%s\" has at most %zu bytes", key, max);
	add_key(keys, key, k->value);
	return true;
}

static bool is_host_name(const char *text)
{
	if (!*text || strlen(text) > 253 || strchr(".-", *text))
		return false;
	for (const char *c = text; *c; c++)
		if (!g_ascii_isalnum(*c) && !strchr(".-_", *c))
			return false;
	return true;
}

/* "host", "host:port", "192.0.2.1", "[2001:db8::1]:25", "2001:db8::1", with the port filled in. */
static bool add_host(GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, const char *key, guint port, GError **error)
{
	const ScannerKey *k = scanner_key(section, key);
	g_autofree char *host = NULL, *text = NULL;
	const char *rest;
	guint64 given = port;
	IpAddress ip;
	bool is_v6;

	if (!value_require(file, section, key, error))
		return false;
	if (*k->value == '[') {
		rest = strchr(k->value, ']');
		host = rest ? g_strndup(k->value + 1, (gsize)(rest - k->value) - 1) : g_strdup("");
		rest = rest ? rest + 1 : "";
	} else if (ip_parse(k->value, &ip)) {
		host = g_strdup(k->value);
		rest = "";
	} else {
		rest = k->value + strcspn(k->value, ":");
		host = g_strndup(k->value, (gsize)(rest - k->value));
	}
	is_v6 = ip_parse(host, &ip) && ip.family == AF_INET6;
	if (*k->value == '[' ? !is_v6 : !is_v6 && !is_host_name(host))
		return scanner_error(error, file->file, k->line, "\"%s\" is a host, or host:port, not \"%s\"", key, k->value);
	if (*rest && (*rest != ':' || !g_ascii_string_to_unsigned(rest + 1, 10, 1, 65535, &given, NULL)))
		return scanner_error(error, file->file, k->line, "\"%s\" is a host, or host:port with a port from 1 to 65535, not \"%s\"", key,
				     k->value);
	text = g_strdup_printf(is_v6 ? "[%s]:%u" : "%s:%u", host, (guint)given);
	add_key(keys, key, text);
	return true;
}

static bool read_mail(SettingsTarget *target, GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const transports[] = { "smtp", "sendmail", NULL };
	static const char *const securities[] = { "starttls", "starttls-if-offered", "none", NULL };
	static const char *const smtp_only[] = { "server", "security", "user", "ca", NULL };
	const ScannerKey *from = scanner_key(section, "from");
	guint sendmail, security;

	if (!read_recipients(target, file, section, error) || !value_require(file, section, "from", error))
		return false;
	if (!is_mail_address(from->value))
		return scanner_error(error, file->file, from->line, "\"%s\" is no mail address, such as pbx@example.com", from->value);
	add_key(keys, "from", from->value);
	if (!add_word(keys, file, section, "transport", transports, &sendmail, error))
		return false;
	for (const char *const *key = smtp_only; sendmail && *key; key++)
		if (scanner_key(section, *key))
			return scanner_error(error, file->file, scanner_key(section, *key)->line,
					     "\"%s\" is for transport=smtp; the sendmail command has its own settings", *key);
	if (!sendmail && (!add_host(keys, file, section, "server", 587, error) ||
			  !add_word(keys, file, section, "security", securities, &security, error) ||
			  !add_text(keys, file, section, "user", 256, error) || !add_name(keys, file, section, "ca", error)))
		return false;
	/* A password in the clear is no password any more. */
	if (!sendmail && security == 2 && scanner_key(section, "user"))
		return scanner_error(error, file->file, scanner_key(section, "user")->line,
				     "\"user\" has a password, which \"security=none\" would send in the clear");
	return add_uint(keys, file, section, "per-hour", 1, 100000, 30, &target->per_hour, error);
}

/* What a template of an SMS gateway may name. */
static const char *const places[] = { "to", "text", "user", "password", "basic", "id", "application", "name", "priority", "device", NULL };

/* Every "{word}" of @key is one we fill in; other braces are text. @ret_text, @ret_to: set when these are among them. */
static bool check_template(const ScannerFile *file, const ScannerSection *section, const char *name, bool *ret_to, bool *ret_text, GError **error)
{
	const ScannerKey *key = scanner_key(section, name);

	for (const char *c = key ? strchr(key->value, '{') : NULL; c; c = strchr(c + 1, '{')) {
		gsize n = 0;
		while (g_ascii_isalpha(c[1 + n]))
			n++;
		if (!n || c[1 + n] != '}')
			continue;
		g_autofree char *word = g_strndup(c + 1, n);
		if (!g_strv_contains(places, word)) {
			g_autofree char *all = g_strjoinv(", ", (char **)places);
			return scanner_error(error, file->file, key->line, "\"%s\": {%s} is nothing that can be filled in; there are %s", name,
					     word, all);
		}
		*ret_to = *ret_to || g_str_equal(word, "to");
		*ret_text = *ret_text || g_str_equal(word, "text");
	}
	return true;
}

static bool check_url(const ScannerFile *file, const ScannerKey *key, GError **error)
{
	const char *url = key->value, *host = strstr(url, "://");
	gsize n;

	if (!g_str_has_prefix(url, "http://") && !g_str_has_prefix(url, "https://"))
		return scanner_error(error, file->file, key->line, "\"url\" begins with https:// or http://, not \"%s\"", url);
	n = strcspn(host + 3, "/?#");
	if (!n || memchr(host + 3, '{', n) || memchr(host + 3, '@', n))
		return scanner_error(error, file->file, key->line, "\"url\": the host stands there as it is, without {..} and user@: \"%s\"", url);
	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c > '~')
			return scanner_error(error, file->file, key->line, "\"url\" is printable ASCII without blanks");
	return true;
}

static bool check_header(const ScannerFile *file, const ScannerSection *section, const char *name, GError **error)
{
	const ScannerKey *key = scanner_key(section, name);
	gsize n;

	if (!key)
		return true;
	n = strcspn(key->value, ":");
	for (gsize i = 0; i < n; i++)
		if (!g_ascii_isalnum(key->value[i]) && key->value[i] != '-' && key->value[i] != '_')
			n = 0;
	if (!n || key->value[n] != ':')
		return scanner_error(error, file->file, key->line, "\"%s\" is a header, \"Name: value\", not \"%s\"", name, key->value);
	return true;
}

static bool read_success(GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const ScannerKey *key = scanner_key(section, "success");
	g_autoptr(GError) cause = NULL;
	g_autoptr(GRegex) regex = NULL;

	if (!key) {
		add_key(keys, "success", "^(HTTP/[0-9.]+ )?2[0-9][0-9]");
		return true;
	}
	if (!add_text(keys, file, section, "success", 256, error))
		return false;
	regex = g_regex_new(key->value, 0, 0, &cause);
	if (!regex)
		return scanner_error(error, file->file, key->line, "\"success\" is no regular expression: %s", cause->message);
	return true;
}

static bool read_sms(SettingsTarget *target, GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const methods[] = { "GET", "POST", "PUT", NULL }, *const encodings[] = { "form", "json", NULL };
	static const char *const templates[] = { "url", "header", "header-2", "header-3", "body", NULL };
	const ScannerKey *body = scanner_key(section, "body"), *method_key = scanner_key(section, "method");
	guint method = body ? 1 : 0, encoding, parts;
	bool has_to = false, has_text = false, seven_bit = false;

	if (!read_recipients(target, file, section, error) || !value_require(file, section, "url", error) ||
	    !check_url(file, scanner_key(section, "url"), error) || !check_header(file, section, "header", error) ||
	    !check_header(file, section, "header-2", error) || !check_header(file, section, "header-3", error))
		return false;
	for (const char *const *key = templates; *key; key++)
		if (!add_text(keys, file, section, *key, MAX_TEMPLATE, error) ||
		    !check_template(file, section, *key, &has_to, &has_text, error))
			return false;
	if (!has_to || !has_text)
		return scanner_error(error, file->file, section->line, "section [sms %s] needs {%s} in \"url\" or \"body\"", section->name,
				     has_to ? "text" : "to");
	if (!value_word(file, section, "method", methods, &method, error))
		return false;
	if (body && method == 0)
		return scanner_error(error, file->file, method_key->line, "GET has no body: \"method\" is POST or PUT, or \"body\" goes");
	add_key(keys, "method", methods[method]);
	if (!body && scanner_key(section, "body-encoding"))
		return scanner_error(error, file->file, scanner_key(section, "body-encoding")->line, "\"body-encoding\" is for a \"body\", and there is none");
	if ((body && !add_word(keys, file, section, "body-encoding", encodings, &encoding, error)) || !read_success(keys, file, section, error) ||
	    !add_uint(keys, file, section, "max-parts", 1, 10, 3, &parts, error) || !value_bool(file, section, "seven-bit", &seven_bit, error))
		return false;
	add_key(keys, "seven-bit", seven_bit ? "true" : "false");
	return add_name(keys, file, section, "ca", error) && add_text(keys, file, section, "user", 256, error) &&
	       add_uint(keys, file, section, "per-hour", 1, 100000, 20, &target->per_hour, error);
}

static bool read_snmp(SettingsTarget *target, GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const versions[] = { "2c", "3", NULL }, *const kinds[] = { "trap", "inform", NULL };
	static const char *const auths[] = { "sha256", "sha", "sha224", "sha384", "sha512", NULL }, *const privs[] = { "aes", "none", NULL };
	static const char *const v3_only[] = { "user", "auth", "priv", NULL };
	guint version, index;

	if (!add_host(keys, file, section, "host", 162, error))
		return false;
	g_strfreev(target->to);
	target->to = g_new0(char *, 2);
	target->to[0] = g_strdup(keys->pdata[keys->len - 1]);
	if (!add_word(keys, file, section, "version", versions, &version, error) || !add_word(keys, file, section, "kind", kinds, &index, error))
		return false;
	for (const char *const *key = v3_only; version == 0 && *key; key++)
		if (scanner_key(section, *key))
			return scanner_error(error, file->file, scanner_key(section, *key)->line, "\"%s\" is for version=3; 2c has a community, set with \"understudy secret set snmp.%s\"",
					     *key, section->name);
	if (version == 1 && (!value_require(file, section, "user", error) || !add_text(keys, file, section, "user", 32, error) ||
			     !add_word(keys, file, section, "auth", auths, &index, error) ||
			     !add_word(keys, file, section, "priv", privs, &index, error)))
		return false;
	return add_uint(keys, file, section, "per-hour", 1, 100000, 3600, &target->per_hour, error);
}

bool settings_led_pattern(const char *text, guint ret_ms[static SETTINGS_LED_TIMES], gsize *ret_n, char **ret_reason)
{
	static const struct {
		const char *word;
		gsize n;
		guint ms[2];
	} words[] = { { "off", 0, { 0 } }, { "on", 1, { 1000 } }, { "slow", 2, { 500, 1500 } }, { "fast", 2, { 100, 150 } } };
	g_auto(GStrv) parts = g_strsplit_set(text, ",; \t", -1);
	gsize n = 0;

	for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
		if (g_str_equal(text, words[i].word)) {
			memcpy(ret_ms, words[i].ms, words[i].n * sizeof *ret_ms);
			*ret_n = words[i].n;
			return true;
		}
	for (char **part = parts; *part; part++) {
		guint64 ms;

		if (!**part)
			continue;
		if (n == SETTINGS_LED_TIMES || !g_ascii_string_to_unsigned(*part, 10, 20, 60000, &ms, NULL)) {
			n = 0;
			break;
		}
		ret_ms[n++] = (guint)ms;
	}
	if (!n || n % 2) {
		*ret_reason = g_strdup_printf("off, on, slow, fast, or an even number of times of light and dark from 20 to 60000 ms, at most %u, not \"%s\"",
					      SETTINGS_LED_TIMES, text);
		return false;
	}
	*ret_n = n;
	return true;
}

static bool read_led(const Settings *settings, GPtrArray *keys, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	static const char *const patterns[3][2] = { { "priority-1", "off" }, { "priority-2", "slow" }, { "priority-3", "fast" } };
	const ScannerKey *led = scanner_key(section, "led");

	if (!value_require(file, section, "led", error))
		return false;
	for (const char *c = led->value; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '/' || *led->value == '.' || c - led->value > 62)
			return scanner_error(error, file->file, led->line, "\"%s\" is no name of a LED, such as those in /sys/class/leds", led->value);
	for (guint i = 0; i < settings->targets->len; i++) {
		const SettingsTarget *other = g_ptr_array_index(settings->targets, i);

		if (other->kind == SETTINGS_TARGET_LED && g_strcmp0(settings_target_key(other, "led"), led->value) == 0)
			return scanner_error(error, file->file, led->line, "%s is already the LED of [led %s]", led->value, other->name);
	}
	add_key(keys, "led", led->value);
	for (guint i = 0; i < G_N_ELEMENTS(patterns); i++) {
		const ScannerKey *key = scanner_key(section, patterns[i][0]);
		guint ms[SETTINGS_LED_TIMES];
		g_autofree char *reason = NULL;
		gsize n;

		if (key && !settings_led_pattern(key->value, ms, &n, &reason))
			return scanner_error(error, file->file, key->line, "\"%s\" is %s", key->key, reason);
		add_key(keys, patterns[i][0], key ? key->value : patterns[i][1]);
	}
	return true;
}

static bool read_target(Settings *settings, SettingsTargetKind kind, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	SettingsTarget *target = target_new(kind, section->name);
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
	bool ok = false;

	switch (kind) {
	case SETTINGS_TARGET_MAIL:
		ok = read_mail(target, keys, file, section, error);
		break;
	case SETTINGS_TARGET_SMS:
		ok = read_sms(target, keys, file, section, error);
		break;
	case SETTINGS_TARGET_SNMP:
		ok = read_snmp(target, keys, file, section, error);
		break;
	case SETTINGS_TARGET_LED:
		ok = read_led(settings, keys, file, section, error);
		break;
	case SETTINGS_TARGET_DISPLAY:
	case SETTINGS_N_TARGET_KINDS:
		break;
	}
	if (ok && settings->targets->len > MAX_TARGETS)
		ok = scanner_error(error, file->file, section->line, "there are at most %u targets", MAX_TARGETS);
	if (!ok) {
		settings_target_free(target);
		return false;
	}
	g_ptr_array_add(keys, NULL);
	g_strfreev(target->keys);
	g_ptr_array_set_free_func(keys, NULL);
	target->keys = (char **)g_ptr_array_free(g_steal_pointer(&keys), FALSE);
	/* The display, always the last, stays so. */
	g_ptr_array_insert(settings->targets, (gint)settings->targets->len - 1, target);
	return true;
}

static bool read_actions(const Settings *settings, SettingsRule *rule, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const ScannerKey *key = scanner_key(section, "actions");
	g_auto(GStrv) list = NULL;

	if (!value_require(file, section, "actions", error))
		return false;
	value_list(section, "actions", ",; \t", &list);
	if (!check_list(file, key, list, error))
		return false;
	for (char **id = list; *id; id++) {
		const SettingsTarget *target = settings_target(settings, *id);
		g_autofree char *kind = g_strndup(*id, strcspn(*id, ":"));
		const char *name = *id + strlen(kind);

		if (target) {
			g_ptr_array_add(rule->targets, (gpointer)target);
			continue;
		}
		if (*name == ':' && name[1] && !g_str_equal(kind, "display") && g_strv_contains(settings_target_kinds, kind))
			return scanner_error(error, file->file, key->line, "\"%s\", but there is no section [%s %s]", *id, kind, name + 1);
		return scanner_error(error, file->file, key->line, "an action is mail:NAME, sms:NAME, snmp:NAME, led:NAME or display, not \"%s\"", *id);
	}
	return true;
}

/* Every recipient is one for a target of the rule, and every target that needs some has some. */
static bool read_rule_recipients(SettingsRule *rule, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const ScannerKey *key = scanner_key(section, "to");
	bool needs[SETTINGS_N_TARGET_KINDS] = { false };

	if (!key)
		return true;
	value_list(section, "to", ",; \t", &rule->to);
	if (!check_list(file, key, rule->to, error))
		return false;
	for (guint i = 0; i < rule->targets->len; i++)
		needs[((const SettingsTarget *)g_ptr_array_index(rule->targets, i))->kind] = true;
	for (char **each = rule->to; *each; each++)
		if (!(needs[SETTINGS_TARGET_MAIL] && is_mail_address(*each)) && !(needs[SETTINGS_TARGET_SMS] && is_number(*each)))
			return scanner_error(error, file->file, key->line, "\"%s\" is nobody whom an action of this rule can reach", *each);
	for (guint kind = 0; kind < SETTINGS_TARGET_SNMP; kind++) {
		g_auto(GStrv) some = settings_recipients((SettingsTargetKind)kind, (const char *const *)rule->to);

		if (needs[kind] && !*some)
			return scanner_error(error, file->file, key->line, "\"to\" has nobody for the %s of this rule", settings_target_kinds[kind]);
	}
	return true;
}

static bool read_globs(const ScannerFile *file, const ScannerSection *section, const char *name, char ***ret_globs, GError **error)
{
	const ScannerKey *key = scanner_key(section, name);

	if (!key)
		return true;
	value_list(section, name, ",;", ret_globs);
	if (!check_list(file, key, *ret_globs, error))
		return false;
	for (char **glob = *ret_globs; *glob; glob++)
		if (g_utf8_strlen(*glob, -1) > MAX_PATTERN || strpbrk(*glob, "[]{}"))
			return scanner_error(error, file->file, key->line, "\"%s\" is a pattern with \"*\" and \"?\", at most %u characters, not \"%s\"", name,
					     MAX_PATTERN, *glob);
	return true;
}

/* Else what comes and goes all night is a message each time. */
#define DEFAULT_FOLD_S       60
#define DEFAULT_FLAP_CHANGES 6
#define DEFAULT_FLAP_S       600

/* "6/600": six changes in ten minutes. "none" */
static bool read_flap(SettingsRule *rule, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const ScannerKey *key = scanner_key(section, "flap");
	g_autofree char *count = key ? g_strndup(key->value, strcspn(key->value, "/")) : NULL;
	guint64 changes, seconds;

	if (!key)
		return true;
	rule->flap_traps = true;
	rule->flap_changes = rule->flap_s = 0;
	if (g_str_equal(key->value, "none"))
		return true;
	if (!key->value[strlen(count)] || !g_ascii_string_to_unsigned(g_strstrip(count), 10, 3, 100, &changes, NULL) ||
	    !g_ascii_string_to_unsigned(g_strchug(strchr(key->value, '/') + 1), 10, 10, 86400, &seconds, NULL))
		return scanner_error(error, file->file, key->line,
				     "\"flap\" is none, or CHANGES/SECONDS with 3 to 100 changes in 10 to 86400 seconds, not \"%s\"", key->value);
	rule->flap_changes = (guint)changes;
	rule->flap_s = (guint)seconds;
	return true;
}

static bool read_rule(Settings *settings, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	SettingsRule *rule = g_new0(SettingsRule, 1);

	rule->name = g_strdup(section->name);
	rule->applications = g_new0(char *, 1);
	rule->names = g_new0(char *, 1);
	rule->to = g_new0(char *, 1);
	rule->targets = g_ptr_array_new();
	rule->min_priority = 1;
	rule->fold_s = DEFAULT_FOLD_S;
	rule->fold_traps = scanner_key(section, "fold-s") != NULL;
	rule->flap_changes = DEFAULT_FLAP_CHANGES;
	rule->flap_s = DEFAULT_FLAP_S;
	g_ptr_array_add(settings->rules, rule); /* freed with the rest on failure */
	return read_globs(file, section, "application", &rule->applications, error) && read_globs(file, section, "name", &rule->names, error) &&
	       value_uint(file, section, "min-priority", 1, 3, &rule->min_priority, error) &&
	       read_actions(settings, rule, file, section, error) && read_rule_recipients(rule, file, section, error) &&
	       value_bool(file, section, "recovery", &rule->recovery, error) &&
	       value_uint(file, section, "fold-s", 0, 86400, &rule->fold_s, error) && read_flap(rule, file, section, error);
}

bool notify_read(Settings *settings, const ScannerFile *file, GError **error)
{
	const ScannerSection *events = scanner_section(file, "events");

	if (events && (!value_uint(file, events, "keep", 100, 1000000, &settings->events_keep, error) ||
		       !value_uint(file, events, "keep-days", 0, 3650, &settings->events_keep_days, error)))
		return false;
	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);

		for (guint kind = 0; kind < SETTINGS_TARGET_DISPLAY; kind++)
			if (g_str_equal(section->kind, settings_target_kinds[kind]) &&
			    !read_target(settings, (SettingsTargetKind)kind, file, section, error))
				return false;
	}
	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);

		if (g_str_equal(section->kind, "rule") && !read_rule(settings, file, section, error))
			return false;
	}
	return true;
}

static gint compare_targets(gconstpointer a, gconstpointer b)
{
	return strcmp((*(const SettingsTarget *const *)a)->id, (*(const SettingsTarget *const *)b)->id);
}

static void append_list(GString *text, const char *key, char **list)
{
	for (; *list; list++)
		g_string_append_printf(text, "%s=%s\n", key, *list);
}

static bool has_traps(const SettingsRule *rule)
{
	for (guint i = 0; i < rule->targets->len; i++)
		if (((const SettingsTarget *)g_ptr_array_index(rule->targets, i))->kind == SETTINGS_TARGET_SNMP)
			return true;
	return false;
}

void notify_append_meaning(const Settings *settings, GString *text)
{
	g_autoptr(GPtrArray) targets = g_ptr_array_copy(settings->targets, NULL, NULL);

	if (settings->events_keep != 10000)
		g_string_append_printf(text, "events-keep=%u\n", settings->events_keep);
	if (settings->events_keep_days)
		g_string_append_printf(text, "events-keep-days=%u\n", settings->events_keep_days);
	g_ptr_array_set_free_func(targets, NULL);
	g_ptr_array_sort(targets, compare_targets);
	for (guint i = 0; i < targets->len; i++) {
		const SettingsTarget *target = g_ptr_array_index(targets, i);

		if (target->kind == SETTINGS_TARGET_DISPLAY)
			continue;
		g_string_append_printf(text, "target=%s\n", target->id);
		append_list(text, "to", target->to);
		for (char **pair = target->keys; *pair; pair += 2)
			g_string_append_printf(text, "%s=%s\n", pair[0], pair[1]);
	}
	/* The first that names a target tells it what to do, so their order counts. */
	for (guint i = 0; i < settings->rules->len; i++) {
		const SettingsRule *rule = g_ptr_array_index(settings->rules, i);

		g_string_append_printf(text, "rule=%s\nmin-priority=%u\nrecovery=%d\nfold-s=%u\nflap=%u/%u\n", rule->name, rule->min_priority,
				       rule->recovery, rule->fold_s, rule->flap_changes, rule->flap_s);
		if (has_traps(rule))
			g_string_append_printf(text, "traps=%d/%d\n", rule->fold_traps, rule->flap_traps);
		append_list(text, "application", rule->applications);
		append_list(text, "name", rule->names);
		append_list(text, "to", rule->to);
		for (guint j = 0; j < rule->targets->len; j++)
			g_string_append_printf(text, "action=%s\n", ((const SettingsTarget *)g_ptr_array_index(rule->targets, j))->id);
	}
}
