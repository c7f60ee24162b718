/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-processes.c - the supervisor's list of processes, /proc/PID/stat (a process names itself), and control group files. */
#include "fuzz.h"
#include "supervisor/processes/cgroup.h"
#include "supervisor/processes/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);
	g_autoptr(GPtrArray) records = proc_records_parse(text);
	ProcStat stat;

	for (guint i = 0; i < records->len; i++) {
		const ProcRecord *record = records->pdata[i];

		g_assert_cmpint(record->pid, >, 0); /* 0 and below would be whole process groups */
		g_assert_true(record->kind && record->name && record->detail);
		g_assert_nonnull(proc_records_find(records, record->kind, record->name));
	}
	(void)proc_stat_parse(text, &stat);
	g_autofree char *own = cgroup_find(text, "0::/understudy/x\n");
	g_autofree char *other = cgroup_find("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", text);
	g_autofree char *both = cgroup_find(text, text);
	g_assert_true(!other || g_str_has_prefix(other, "/sys/fs/cgroup"));
	return 0;
}
