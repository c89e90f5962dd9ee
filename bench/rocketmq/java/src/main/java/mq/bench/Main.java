package mq.bench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The Java client: asynchronous sends behind a semaphore, which is what it does best, and plain ones for one in flight; or a push
 * consumer, concurrent or orderly. Transactions are committed at once, by as many threads as may be in flight: there is no
 * asynchronous way. {@code MODE NAMESRV TOPIC N SIZE IN_FLIGHT}, and the variables {@code BENCH_WARM} and {@code BENCH_GROUP}.
 */
public final class Main {
    private static final List<String> MODES = List.of("send", "scheduled", "transaction", "drain", "ordered");

    /** Not while it is measured. */
    private static final long LATER_MS = 3_600_000;

    private final String mode;
    private final String namesrv;
    private final String topic;
    private final int count;
    private final int size;
    private final int inFlight;
    private final int warm = Integer.parseInt(System.getenv("BENCH_WARM"));
    private final String group = System.getenv("BENCH_GROUP");

    private Main(String[] args) {
        mode = args[0];
        namesrv = args[1];
        topic = args[2];
        count = Integer.parseInt(args[3]);
        size = Integer.parseInt(args[4]);
        inFlight = Math.max(1, Integer.parseInt(args[5]));
    }

    public static void main(String[] args) {
        if (args.length != 6 || !MODES.contains(args[0])) {
            System.err.println("usage: " + String.join("|", MODES) + " NAMESRV TOPIC N SIZE IN_FLIGHT");
            System.exit(2);
        }
        try {
            Main job = new Main(args);
            switch (args[0]) {
                case "drain", "ordered" -> job.drain();
                case "transaction" -> job.transact();
                default -> job.send();
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
        window.print(mode, count, sends.errors.get(),
            String.format("{\"p50\":%d,\"p99\":%d}", at(micros, 0.5), at(micros, 0.99)));
        producer.shutdown();
    }

    private void transact() throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(group);
        producer.setNamesrvAddr(namesrv);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        });
        producer.start();
        transactAll(producer, warm);
        Window window = new Window();
        Sends sends = transactAll(producer, count);
        window.end();
        long[] micros = Arrays.copyOf(sends.micros, sends.stored.get());
        Arrays.sort(micros);
        window.print(mode, count, sends.errors.get(),
            String.format("{\"p50\":%d,\"p99\":%d}", at(micros, 0.5), at(micros, 0.99)));
        producer.shutdown();
    }

    private Sends transactAll(TransactionMQProducer producer, int many) throws InterruptedException {
        Sends sends = new Sends(many);
        AtomicInteger left = new AtomicInteger(many);
        Thread[] threads = new Thread[inFlight];
        for (int i = 0; i < inFlight; i++) {
            threads[i] = new Thread(() -> {
                while (left.getAndDecrement() > 0) {
                    long begun = System.nanoTime();
                    try {
                        producer.sendMessageInTransaction(message(), null);
                        sends.stored(begun);
                    } catch (Exception e) {
                        sends.failed(e);
                    }
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        return sends;
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
        Message message = new Message(topic, body);
        if (mode.equals("scheduled")) {
            message.setDeliverTimeMs(System.currentTimeMillis() + LATER_MS);
        }
        return message;
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
        Consumer<List<MessageExt>> count = messages -> {
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
                } else if (number == warm + this.count) {
                    Window window = opened.join();
                    window.end();
                    done.complete(window);
                }
            }
        };
        if (mode.equals("ordered")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                count.accept(messages);
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                count.accept(messages);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        consumer.start();
        done.get(2, TimeUnit.MINUTES).print(mode, this.count, redelivered.get(), "null");
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
