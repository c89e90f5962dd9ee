package mq.bench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The Java client: asynchronous sends behind a semaphore, which is what it does best, and plain ones for one in flight; or a push
 * consumer. {@code send|drain NAMESRV TOPIC N SIZE IN_FLIGHT}, and the variables {@code BENCH_WARM} and {@code BENCH_GROUP}.
 */
public final class Main {
    private final String namesrv;
    private final String topic;
    private final int count;
    private final int size;
    private final int inFlight;
    private final int warm = Integer.parseInt(System.getenv("BENCH_WARM"));
    private final String group = System.getenv("BENCH_GROUP");

    private Main(String[] args) {
        namesrv = args[1];
        topic = args[2];
        count = Integer.parseInt(args[3]);
        size = Integer.parseInt(args[4]);
        inFlight = Math.max(1, Integer.parseInt(args[5]));
    }

    public static void main(String[] args) {
        if (args.length != 6 || !args[0].equals("send") && !args[0].equals("drain")) {
            System.err.println("usage: send|drain NAMESRV TOPIC N SIZE IN_FLIGHT");
            System.exit(2);
        }
        try {
            Main job = new Main(args);
            if (args[0].equals("send")) {
                job.send();
            } else {
                job.drain();
            }
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
        // The client's threads are no daemons.
        System.exit(0);
    }

    private void send() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(group);
        producer.setNamesrvAddr(namesrv);
        producer.start();
        // The JIT wants many messages, and one in flight would take minutes for them.
        sendMany(producer, Math.max(inFlight, 64), warm);
        sendAll(producer, Math.min(warm, 2000));
        Window window = new Window();
        Sends sends = sendAll(producer, count);
        window.end();
        long[] micros = Arrays.copyOf(sends.micros, sends.stored.get());
        Arrays.sort(micros);
        window.print("send", count, sends.errors.get(),
            String.format("{\"p50\":%d,\"p99\":%d}", at(micros, 0.5), at(micros, 0.99)));
        producer.shutdown();
    }

    private Sends sendAll(DefaultMQProducer producer, int many) throws Exception {
        return inFlight == 1 ? sendOneByOne(producer, many) : sendMany(producer, inFlight, many);
    }

    private Sends sendOneByOne(DefaultMQProducer producer, int many) {
        Sends sends = new Sends(many);
        for (int i = 0; i < many; i++) {
            Message message = message();
            long begun = System.nanoTime();
            try {
                producer.send(message);
                sends.stored(begun);
            } catch (Exception e) {
                sends.failed(e);
            }
        }
        return sends;
    }

    private Sends sendMany(DefaultMQProducer producer, int permits, int many) throws InterruptedException {
        Sends sends = new Sends(many);
        Semaphore window = new Semaphore(permits);
        for (int i = 0; i < many; i++) {
            window.acquire();
            Message message = message();
            long begun = System.nanoTime();
            SendCallback callback = new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    sends.stored(begun);
                    window.release();
                }

                @Override
                public void onException(Throwable e) {
                    sends.failed(e);
                    window.release();
                }
            };
            try {
                producer.send(message, callback);
            } catch (Exception e) {
                callback.onException(e);
            }
        }
        window.acquire(permits);
        return sends;
    }

    private Message message() {
        byte[] body = new byte[size];
        Arrays.fill(body, (byte) 'x');
        return new Message(topic, body);
    }

    private void drain() throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        AtomicInteger seen = new AtomicInteger();
        AtomicLong redelivered = new AtomicLong();
        CompletableFuture<Window> opened = new CompletableFuture<>();
        CompletableFuture<Window> done = new CompletableFuture<>();
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                if (message.getReconsumeTimes() > 0) {
                    redelivered.incrementAndGet();
                }
                if (message.getBody().length != size) {
                    done.completeExceptionally(new IllegalStateException("a body of another size"));
                }
                int number = seen.incrementAndGet();
                if (number == warm) {
                    opened.complete(new Window());
                } else if (number == warm + count) {
                    Window window = opened.join();
                    window.end();
                    done.complete(window);
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        done.get(2, TimeUnit.MINUTES).print("drain", count, redelivered.get(), "null");
        consumer.shutdown();
    }

    private static long at(long[] sorted, double part) {
        return sorted.length == 0 ? 0 : sorted[Math.min(sorted.length - 1, (int) (sorted.length * part))];
    }

    /** What became of sends. */
    private static final class Sends {
        final long[] micros;
        final AtomicInteger stored = new AtomicInteger();
        final AtomicLong errors = new AtomicLong();

        Sends(int many) {
            micros = new long[many];
        }

        void stored(long begun) {
            micros[stored.getAndIncrement()] = (System.nanoTime() - begun) / 1000;
        }

        void failed(Throwable e) {
            if (errors.getAndIncrement() == 0) {
                System.err.println(e);
            }
        }
    }

    /** The measured part: from when warming up has ended to when the last message is done. */
    private static final class Window {
        private final OperatingSystemMXBean system =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        private final long begun;
        private final long cpuBegun;
        private double seconds;
        private double cpuMicros;

        /** Says so on stderr, for whoever watches the broker meanwhile. */
        Window() {
            System.err.println("begin");
            begun = System.nanoTime();
            cpuBegun = system.getProcessCpuTime();
        }

        void end() {
            seconds = (System.nanoTime() - begun) / 1e9;
            cpuMicros = (system.getProcessCpuTime() - cpuBegun) / 1e3;
        }

        void print(String mode, int count, long errors, String latency) throws IOException {
            System.out.println(String.format(Locale.ROOT, "{\"mode\":\"%s\",\"count\":%d,\"seconds\":%f,"
                + "\"messages_per_second\":%f,\"cpu_us_per_message\":%f,\"peak_rss_bytes\":%d,\"errors\":%d,\"latency_us\":%s}",
                mode, count, seconds, count / seconds, cpuMicros / count, peakRss(), errors, latency));
        }

        private static long peakRss() throws IOException {
            String line = Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(it -> it.startsWith("VmHWM:")).findFirst().orElseThrow();
            return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
        }
    }
}
