package mq.bench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * CMQ's official SDKs for Java, over HTTP and over TCP: as many threads as may be in flight over one account, or one producer or consumer, which
 * are for several. {@code [tcp-]send|drain HOST:PORT QUEUE N SIZE IN_FLIGHT}, and the variable {@code BENCH_WARM}.
 */
public final class Main {
    private final String mode;
    private final String body;
    private final int inFlight;
    private final Calls calls;
    private final AtomicInteger errors = new AtomicInteger();

    private Main(String[] args) throws Exception {
        mode = args[0];
        body = "x".repeat(Integer.parseInt(args[4]));
        inFlight = Math.max(1, Integer.parseInt(args[5]));
        String endpoint = "http://" + args[1];
        calls = mode.startsWith("tcp-") ? new Tcp(endpoint, args[2]) : new Http(endpoint, args[2]);
    }

    public static void main(String[] args) throws Exception {
        Main job = new Main(args);
        int count = Integer.parseInt(args[3]);
        job.run(Integer.parseInt(System.getenv("BENCH_WARM")));
        job.errors.set(0);
        System.err.println("begin");
        long begun = System.nanoTime();
        long cpu = cpu();
        int[] micros = job.run(count);
        double seconds = (System.nanoTime() - begun) / 1e9;
        double cpuMicros = (cpu() - cpu) / 1e3;
        Arrays.sort(micros);
        System.out.printf("{\"mode\":\"%s\",\"count\":%d,\"seconds\":%f,\"messages_per_second\":%f,\"cpu_us_per_message\":%f,"
                + "\"peak_rss_bytes\":%d,\"errors\":%d,\"latency_us\":{\"p50\":%d,\"p99\":%d}}%n",
            job.mode, count, seconds, count / seconds, cpuMicros / count, peakRss(), job.errors.get(),
            micros[micros.length / 2], micros[(int) (micros.length * 0.99)]);
        System.exit(0);
    }

    private int[] run(int count) throws InterruptedException {
        AtomicInteger next = new AtomicInteger();
        int[] micros = new int[Math.max(1, count)];
        Thread[] threads = new Thread[inFlight];
        for (int i = 0; i < inFlight; i++) {
            threads[i] = new Thread(() -> {
                for (int at = next.getAndIncrement(); at < count; at = next.getAndIncrement()) {
                    long begun = System.nanoTime();
                    try {
                        one();
                    } catch (Exception error) {
                        if (errors.getAndIncrement() == 0) {
                            System.err.println(error);
                        }
                    }
                    micros[at] = (int) ((System.nanoTime() - begun) / 1000);
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        return micros;
    }

    private void one() throws Exception {
        if (mode.endsWith("send")) {
            calls.send(body);
        } else if (calls.receiveAndDelete() != body.length()) {
            throw new IllegalStateException("another message");
        }
    }

    private static long cpu() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static long peakRss() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("VmHWM:")) {
                    return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
                }
            }
        } catch (IOException e) {
            // Not on this system.
        }
        return 0;
    }
}
