/** How the log names a kill (mm/oom_kill.c: the `message` of oom_kill_process, v6.18); indices into OOM_MESSAGES. */

export const MESSAGE_OUT_OF_MEMORY = 0;
export const MESSAGE_MEMCG = 1;
export const MESSAGE_ALLOCATING_TASK = 2;

export const OOM_MESSAGES = [
  "Out of memory",
  "Memory cgroup out of memory",
  "Out of memory (oom_kill_allocating_task)",
] as const;
